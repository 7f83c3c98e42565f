"""The terms of the Data Privacy Vocabulary that exports may use (RC-02).

Source: https://w3id.org/dpv, version 2.3, by the W3C Data Privacy Vocabularies and Controls Community Group;
compared with the dpv.csv, eu-gdpr.csv, pd.csv and loc.csv that it publishes. A term that isn't here isn't
exported, be it real: whoever needs it adds it here after looking it up there.
"""

VERSION = "2.3"
NAMESPACES = {
	"dpv": "https://w3id.org/dpv#",
	"eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
	"pd": "https://w3id.org/dpv/pd#",
	"loc": "https://w3id.org/dpv/loc#",
}
PROFILE = "https://w3id.org/dpv/schema/dpv-27560#"

STATUSES = """
	ConsentGiven RenewedConsentGiven ConsentRequested ConsentRequestDeferred ConsentRefused
	ConsentWithdrawn ConsentRevoked ConsentExpired ConsentInvalidated ConsentUnknown
"""
PURPOSES = """
	DirectMarketing Marketing Advertising PersonalisedAdvertising TargetedAdvertising
	CustomerRelationshipManagement CommunicationForCustomerCare CommunicationManagement
	CustomerOrderManagement CustomerManagement CustomerCare SellProducts ServiceProvision
	LegalCompliance RightsFulfilment RecordManagement FulfilmentOfContractualObligation
	PaymentManagement ServiceUsageAnalytics
"""
CLASSES = """
	ConsentRecord ConsentReceipt DataProcessingRecord ConsentNotice PrivacyNotice DataSubject
	GuardianOfDataSubject
	DataController Process Purpose LegalBasis PersonalData Recipient StorageLocation StorageDuration
	Location WithdrawConsent ObjectingToProcess UntilTimeDuration UntilEventDuration TemporalDuration
	JointDataControllers Representative SafeguardForDataTransfer
"""
PROPERTIES = """
	hasDataSubject hasIdentifier hasNotice hasProcess hasPurpose hasLegalBasis hasPersonalData
	hasDataController hasStorageCondition hasDuration hasJurisdiction hasRecipient hasRight
	hasConsentControl isExercisedAt hasConsentStatus isIndicatedBy isIndicatedAtTime
	hasIndicationMethod hasName hasRecordOfActivity hasApplicableLaw
	hasJointDataControllers hasRepresentative hasTechnicalOrganisationalMeasure
"""
GDPR = """
	A6-1-a A6-1-a-explicit-consent A6-1-a-non-explicit-consent A6-1-b A6-1-b-contract-performance
	A6-1-b-enter-into-contract A6-1-c A6-1-d A6-1-e A6-1-f A6-1-f-controller A6-1-f-third-party A7-3
	A13 A14 A15 A16 A17 A18 A19 A20 A21 A22 A77
"""
PERSONAL_DATA = "EmailAddress TelephoneNumber PhysicalAddress Name Language"
# ISO 3166-1 alpha-2, and the European Union.
PLACES = """
	AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT
	BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH
	ER ES ET EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR
	HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR
	LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG
	NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE
	SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA
	UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""


def _named(prefix: str, *lists: str) -> set[str]:
	return {f"{prefix}:{name}" for names in lists for name in names.split()}


PURPOSE_TERMS = frozenset(_named("dpv", PURPOSES))
LEGAL_BASIS_TERMS = frozenset(term for term in _named("eu-gdpr", GDPR) if term.startswith("eu-gdpr:A6-"))
TERMS = frozenset(
	_named("dpv", STATUSES, PURPOSES, CLASSES, PROPERTIES)
	| _named("eu-gdpr", GDPR)
	| _named("pd", PERSONAL_DATA)
	| _named("loc", PLACES)
)

from gdpr_consent.reports.consent_register import execute

__all__ = ["execute"]

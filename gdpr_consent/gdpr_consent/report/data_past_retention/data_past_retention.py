from gdpr_consent.reports.past_retention import execute

__all__ = ["execute"]

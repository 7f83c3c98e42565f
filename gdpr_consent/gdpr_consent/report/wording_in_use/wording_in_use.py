from gdpr_consent.reports.wordings import execute

__all__ = ["execute"]

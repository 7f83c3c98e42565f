from gdpr_consent.reports.coverage import execute

__all__ = ["execute"]

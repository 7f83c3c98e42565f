from gdpr_consent.reports.expiring import execute

__all__ = ["execute"]

from gdpr_consent.reports.processing import execute

__all__ = ["execute"]

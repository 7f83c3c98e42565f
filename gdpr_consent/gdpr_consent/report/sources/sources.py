from gdpr_consent.reports.sources import execute

__all__ = ["execute"]

from gdpr_consent.reports.blocked_mail import execute

__all__ = ["execute"]

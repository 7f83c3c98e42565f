from gdpr_consent.reports.personal_data_map import execute

__all__ = ["execute"]

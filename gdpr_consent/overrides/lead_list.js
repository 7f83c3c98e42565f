gdpr_consent.bulk_update.add_list_action("Lead");
gdpr_consent.show_standing_in_list("Lead");

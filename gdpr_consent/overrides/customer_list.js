gdpr_consent.bulk_update.add_list_action("Customer");
gdpr_consent.show_standing_in_list("Customer");

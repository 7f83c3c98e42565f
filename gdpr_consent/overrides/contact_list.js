gdpr_consent.bulk_update.add_list_action("Contact");

gdpr_consent.show_standing_in_list("Prospect");

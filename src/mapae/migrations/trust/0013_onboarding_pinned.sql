-- Applications that governors have begun to agree to: looked at with every page. Owner: trust/onboarding_store.py.

CREATE INDEX rp_application_pinned ON rp_application (id) WHERE proposal IS NOT NULL;

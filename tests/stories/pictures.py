"""Which pictures docs/screens holds: <surface>-<screen>-<language>-<size>. Axe looks at all the other screens too."""

from __future__ import annotations

KEPT = frozenset(
    [
        "start-en-desktop",
        "start-ko-phone",
        "inbox-ko-phone",
        # the wallet
        "wallet-welcome-ko-phone",
        "wallet-welcome-en-phone",
        "wallet-code-ko-phone",
        "wallet-pin-en-phone",
        "wallet-empty-en-phone",
        "wallet-documents-ko-phone",
        "wallet-documents-en-phone",
        "wallet-scan-en-phone",
        "wallet-offer-ko-phone",
        "wallet-arrived-en-phone",
        "wallet-card-ko-phone",
        "wallet-card-en-phone",
        "wallet-ask-ko-phone",
        "wallet-ask-en-phone",
        "wallet-shown-ko-phone",
        "wallet-record-ko-phone",
        "wallet-history-en-phone",
        "wallet-settings-ko-phone",
        "wallet-offline-en-phone",
        "wallet-strange-code-en-phone",
        "wallet-tx-code-ko-phone",
        "wallet-deferred-ko-phone",
        "wallet-payment-en-phone",
        "wallet-stranger-ko-phone",
        "wallet-lost-ko-phone",
        "wallet-lost-en-phone",
        # the desk
        "desk-sign-in-en-desktop",
        "desk-search-ko-phone",
        "desk-case-ko-desktop",
        "desk-qr-ko-desktop",
        "desk-qr-en-desktop",
        "desk-done-en-desktop",
        "desk-refused-ko-desktop",
        # the checker
        "checker-choose-ko-desktop",
        "checker-waiting-en-desktop",
        "checker-accepted-ko-phone",
        "checker-accepted-en-desktop",
        "checker-name-en-desktop",
        "checker-refused-ko-phone",
        "checker-refused-en-desktop",
        "checker-no-en-desktop",
        # the portal
        "portal-lost-ko-phone",
        "portal-locked-en-desktop",
        # the trust log
        "log-home-en-desktop",
        "log-home-ko-phone",
        "log-proof-en-desktop",
        "log-proof-ko-phone",
        "log-refused-en-desktop",
    ]
)

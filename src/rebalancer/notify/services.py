"""Services such as mail, Discord, Telegram or ntfy, through Apprise, which is imported only here and only when used."""

from rebalancer.notify.errand import Level, NotDeliveredError, Notification
from rebalancer.notify.masking import masked

_TIMEOUT = 8  # seconds
_REASON = 200  # characters


def deliver(notification: Notification, address: str, *, subject: str) -> None:
    """Tell one service; raises NotDeliveredError with what Apprise says of it, without the address."""
    import apprise

    kinds = {
        Level.NORMAL: apprise.NotifyType.SUCCESS,
        Level.WARNING: apprise.NotifyType.WARNING,
        Level.ALERT: apprise.NotifyType.FAILURE,
    }
    asset = apprise.AppriseAsset(app_id="Unraid Rebalancer", app_desc="Unraid Rebalancer", storage_mode="memory")
    service = apprise.Apprise(asset=asset)
    if not service.add(address):
        raise NotDeliveredError("this is no address that Apprise understands")
    complaints: list[str] = []
    told = service.notify(
        body="\n".join(notification.lines),
        title=subject,
        notify_type=kinds[notification.level],
        body_format=apprise.NotifyFormat.TEXT,
        timeout=_TIMEOUT,
        log_callback=lambda entry, _service: complaints.append(entry.message),
        log_level=30,  # warnings and errors
    )
    if not told:
        words = complaints[-1].strip().rstrip(".") if complaints else "the service did not take it"
        raise NotDeliveredError(masked(words[:1].lower() + words[1:], [address])[:_REASON])

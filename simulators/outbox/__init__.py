"""The mail and text-message company: receives by real SMTP and by HTTP, keeps everything, shows it on one page.

Mail is taken without log-in on the SMTP port. A text message is `POST /sms` with JSON `{"to", "text", "id"}`, signed as the
sandbox gateway signs its notices: `Sandbox-Timestamp` (seconds since 1970) and `Sandbox-Signature: v1=…`, the hex of
HMAC-SHA256(sms_secret, timestamp + "." + raw body). It answers 202, and the same for a repeated `id`; 401 for a wrong
signature; 400 for a malformed body; 409 for an `id` that was used for another text; 422 for
+86 170 0000 0404, a number that takes no text messages, ever. `GET /messages?to=…` is for tests.

It also stands for the group chats of DingTalk, WeCom and Feishu: see `robots.py`. What the groups were told is at `/robots`.
"""

# SPDX-License-Identifier: Apache-2.0
"""Sends with libraries of senders; prints a line of JSON for each answer."""
import base64
import datetime
import json
import sys
import time
import urllib.error
import urllib.request

url, secrets = sys.argv[1], json.loads(sys.argv[2])


def send(name, path, headers, body):
    if isinstance(body, str):
        body = body.encode()
    request = urllib.request.Request(url + path, data=body, headers=headers, method="POST")
    for attempt in range(100):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            status, text = refused.code, refused.read().decode()
            if status in (429, 503):  # as real senders do
                time.sleep(0.2)
                continue
        print(json.dumps({"name": name, "status": status, "text": text}), flush=True)
        return


def standard():
    from standardwebhooks.webhooks import Webhook

    webhook, now = Webhook(secrets["standard"]), datetime.datetime.now(tz=datetime.timezone.utc)
    for name, body, signed in (("standard", '{"standard":1}', '{"standard":1}'), ("standard, another body", '{"standard":2}', '{"standard":3}')):
        headers = {"webhook-id": "msg-" + name[-1], "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": webhook.sign("msg-" + name[-1], now, signed)}
        send(name, "/standard", headers, body)
    old = now - datetime.timedelta(minutes=6)
    send("standard, old", "/standard", {"webhook-id": "o", "webhook-timestamp": str(int(old.timestamp())), "webhook-signature": webhook.sign("o", old, "{}")}, "{}")


def stripe():
    import stripe

    body = '{"id":"evt_1","stripe":1}'
    headers = {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secrets["stripe"])}
    send("stripe", "/stripe", headers, body)
    send("stripe, again", "/stripe", headers, body)
    send("stripe, another secret", "/stripe", {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, "whsec_other")}, body)


def cloudevents():
    from cloudevents.conversion import to_binary, to_structured
    from cloudevents.http import CloudEvent

    def event(n, data, **more):
        return CloudEvent({"id": str(n), "type": "t", "source": "python", "subject": "Euro € 😀", "time": "2026-01-31T00:00:00Z", **more}, data)

    def post(name, headers, body):
        send(name, "/cloudevents", {k: v.encode() for k, v in headers.items()} | {"Authorization": "Bearer " + secrets["token"]}, body)

    post("binary", *to_binary(event(1, {"cloudevents": 1})))
    post("structured", *to_structured(event(2, {"cloudevents": 2})))
    post("structured, bytes", *to_structured(event(3, b"\x00\xff", datacontenttype="application/octet-stream"), lambda data: data))
    headers, body = to_structured(event(1, {"cloudevents": 1}))
    post("binary, again as structured", headers, body)
    batch = "[" + ",".join(to_structured(event(n, {"cloudevents": n}))[1].decode() for n in (2, 4, 5)) + "]"
    post("batch", {"content-type": "application/cloudevents-batch+json"}, batch)


for library in (standard, stripe, cloudevents):
    library()

"""Reads events of Lumière from outside: AMQPS_URL and QUEUE are what `lumiere events subscribe --json` printed.

Needs pika. AMQPS_CA names a certificate to trust, where it is not one that everybody trusts. See docs/subscribers.md.
"""

import json
import os
import sqlite3
import ssl
import sys
import time

import pika

done = sqlite3.connect("done.db")
done.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY)")


def work(event):
    """Yours. Take the fields that you know; there may be others, now or later."""
    print(event["type"], event["subject"], int(event["sequence"]), flush=True)


def handle(channel, method, _properties, body):
    event = json.loads(body)
    with done:  # the mark and your work in one transaction: a second delivery of the same id changes nothing
        if done.execute("INSERT OR IGNORE INTO done VALUES (?)", [event["id"]]).rowcount:
            work(event)
    channel.basic_ack(method.delivery_tag)  # only now; what was not acknowledged comes again


parameters = pika.URLParameters(os.environ["AMQPS_URL"])
parameters.ssl_options = pika.SSLOptions(ssl.create_default_context(cafile=os.environ.get("AMQPS_CA")), parameters.host)
while True:
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=50)
            channel.basic_consume(os.environ["QUEUE"], handle)
            print("listening", file=sys.stderr, flush=True)
            channel.start_consuming()
    except (pika.exceptions.AMQPError, OSError) as error:
        print("connection lost, again in 5 s:", type(error).__name__, file=sys.stderr, flush=True)
        time.sleep(5)

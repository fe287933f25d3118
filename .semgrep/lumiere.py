"""Planted violations of lumiere.yml (`ruleid`), and what must be left alone (`ok`). Nothing imports this file; semgrep reads it."""

import hmac
import http.client
import marshal
import os
import pickle
import socket
import ssl
import subprocess
import urllib.request

import flask
import httpx
import requests
import sqlalchemy
import yaml
from flask import request
from markupsafe import Markup
from sqlalchemy import text


def planted_sql(connection, name):
    # ruleid: sql-built-from-text
    connection.execute(f"SELECT * FROM person WHERE name = '{name}'")
    # ruleid: sql-built-from-text
    connection.execute("SELECT * FROM person WHERE name = '%s'" % name)
    # ruleid: sql-built-from-text
    connection.execute(text(f"SELECT * FROM {name}"))
    # ruleid: sql-built-from-text
    connection.execute(sqlalchemy.text("SELECT * FROM " + name))
    # ok: sql-built-from-text
    connection.execute(text("SELECT * FROM person WHERE name = :name"), {"name": name})


def planted_environment():
    # ruleid: environment-read-outside-config
    first = os.environ["DATABASE_URL"]
    # ruleid: environment-read-outside-config
    second = os.getenv("DATABASE_URL")
    # ok: environment-read-outside-config
    third = load(Settings).database_url
    return first, second, third


def planted_waiting(address):
    # ruleid: call-without-timeout
    requests.get(address)
    # ruleid: call-without-timeout
    httpx.post(address, json={})
    # ruleid: call-without-timeout
    httpx.Client(base_url=address)
    # ruleid: call-without-timeout
    urllib.request.urlopen(address)
    # ruleid: call-without-timeout
    http.client.HTTPSConnection(address)
    # ruleid: call-without-timeout
    socket.create_connection((address, 1))
    # ok: call-without-timeout
    httpx.post(address, json={}, timeout=5)
    # ok: call-without-timeout
    socket.create_connection((address, 1), 5)


def planted_trust(context, address, jwt, token):
    # ruleid: verification-switched-off
    httpx.get(address, timeout=5, verify=False)
    # ruleid: verification-switched-off
    jwt.decode(token, options={"verify_signature": False})
    # ruleid: verification-switched-off
    ssl._create_unverified_context()
    # ruleid: verification-switched-off
    context.verify_mode = ssl.CERT_NONE
    # ruleid: verification-switched-off
    context.check_hostname = False
    # ok: verification-switched-off
    httpx.get(address, timeout=5, verify="authority.pem")


def planted_comparison(given, row, settings):
    # ruleid: secret-compared-openly
    if given == settings.cron_secret:
        return True
    # ruleid: secret-compared-openly
    if row.signature != given:
        return False
    # ruleid: secret-compared-openly
    if settings.api_key.get_secret_value() == given:
        return True
    # ok: secret-compared-openly
    if row.kind != NO_PASSWORD:
        return False
    # ok: secret-compared-openly
    if settings.cron_secret == None:
        return False
    # ok: secret-compared-openly
    if settings.password == "":
        return False
    # ok: secret-compared-openly
    return hmac.compare_digest(given, settings.cron_secret)


def planted_log(log, person, token):
    # ruleid: secret-written-to-the-log
    log.info("signed.in", token=token)
    # ruleid: secret-written-to-the-log
    log.warning("refused", email=person.email)
    # ruleid: secret-written-to-the-log
    log.debug("asked", client_secret=token)
    # ok: secret-written-to-the-log
    log.info("signed.in", user_id=person.id, token_id=token.id)


def planted_shell(name):
    # ruleid: shell-between-us-and-the-program
    subprocess.run(f"ls {name}", shell=True)
    # ruleid: shell-between-us-and-the-program
    os.system("ls " + name)
    # ok: shell-between-us-and-the-program
    subprocess.run(["ls", name])


def planted_address():
    # ruleid: address-of-a-person-read
    first = request.remote_addr
    # ruleid: address-of-a-person-read
    second = request.headers.get("X-Forwarded-For")
    # ok: address-of-a-person-read
    third = request.headers.get("X-Request-Id")
    return first, second, third


def planted_markup(name):
    # ruleid: markup-trusted-unseen
    first = Markup(name)
    # ruleid: markup-trusted-unseen
    second = flask.render_template_string(name)
    # ok: markup-trusted-unseen
    third = Markup("<b>ours</b>")
    return first, second, third


def planted_parser(stream, content):
    # ruleid: deserialised-blindly
    first = pickle.loads(content)
    # ruleid: deserialised-blindly
    second = yaml.load(stream, Loader=yaml.Loader)
    # ruleid: deserialised-blindly
    third = marshal.loads(content)
    # ruleid: deserialised-blindly
    fourth = eval(content)
    # ok: deserialised-blindly
    fifth = yaml.safe_load(stream)
    return first, second, third, fourth, fifth

"""Clients of the doors for SQL, as tests use them: psql, psycopg, ADBC, Arrow Flight, and plain HTTP.

Owns: connecting, and one form of rows for all: each value as text. Does not own: expectations.
"""

import csv
import datetime
import decimal
import http.client
import io
import json
import ssl
import subprocess

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import psycopg
import pyarrow
import pyarrow.flight


def plain(value):
    """A value as text: times in UTC, numbers by their value, as far as text shows what it was."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat()
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    text = str(value)
    for read in (lambda: str(decimal.Decimal(text).normalize()), lambda: plain(datetime.datetime.fromisoformat(text))):
        try:
            return read()
        except (ValueError, decimal.InvalidOperation):
            pass
    return text


def rows(found):
    return [[plain(value) for value in row] for row in found]


def arrow_rows(table):
    return rows([[column[index].as_py() for column in table.columns] for index in range(table.num_rows)])


class Doors:
    """One client for each way in. `token` is a token, or empty where none is asked for."""

    def __init__(self, psql, http_addr, postgres_addr, flight_addr, token):
        self.psql_program, self.http_addr, self.token = psql, http_addr, token
        self.ca = None
        host, port = postgres_addr.rsplit(":", 1)
        self.conninfo = "host=%s port=%s user=anyone dbname=siltstone sslmode=disable" % (host, port)
        if token:
            self.conninfo += " password=" + token
        self.flight_url = "grpc://" + flight_addr
        self.all = {"psql": self.psql, "psycopg": self.psycopg, "adbc": self.adbc, "flight": self.flight, "http": self.http}

    def with_tls(self, ca_file):
        """The same over TLS, where the server's certificate must be of this authority."""
        self.ca = ca_file
        self.conninfo = self.conninfo.replace("sslmode=disable", "sslmode=verify-full sslrootcert=" + ca_file)
        self.flight_url = self.flight_url.replace("grpc://", "grpc+tls://")
        return self

    def ca_text(self):
        with open(self.ca) as file:
            return file.read()

    def psql(self, sql):
        done = subprocess.run([self.psql_program, "-X", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo, "-c", sql],
                              capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return rows(csv.reader(io.StringIO(done.stdout)))

    def psycopg(self, sql, parameters=None):
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return rows(connection.execute(sql, parameters, prepare=True).fetchall())

    def adbc(self, sql, parameters=None):
        options = {}
        if self.token:
            options[adbc_driver_flightsql.DatabaseOptions.AUTHORIZATION_HEADER.value] = "Bearer " + self.token
        if self.ca:
            options[adbc_driver_flightsql.DatabaseOptions.TLS_ROOT_CERTS.value] = self.ca_text()
        with adbc_driver_flightsql.dbapi.connect(self.flight_url, db_kwargs=options, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return arrow_rows(cursor.fetch_arrow_table())

    def flight(self, sql):
        with pyarrow.flight.connect(self.flight_url, tls_root_certs=self.ca_text() if self.ca else None) as client:
            options = pyarrow.flight.FlightCallOptions(timeout=60)
            if self.token:
                header = client.authenticate_basic_token("anyone", self.token)
                options = pyarrow.flight.FlightCallOptions(timeout=60, headers=[header])
            # The one message of Flight SQL that a query needs: CommandStatementQuery inside an Any.
            text = sql.encode()
            query = b"\x0a" + varint(len(text)) + text
            url = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
            command = b"\x0a" + varint(len(url)) + url + b"\x12" + varint(len(query)) + query
            info = client.get_flight_info(pyarrow.flight.FlightDescriptor.for_command(command), options)
            return arrow_rows(client.do_get(info.endpoints[0].ticket, options).read_all())

    def http(self, sql, parameters=None, accept="application/vnd.apache.arrow.stream"):
        body = json.dumps({"sql": sql, "parameters": parameters or []})
        return arrow_rows(pyarrow.ipc.open_stream(self.post(body, accept)).read_all())

    def post(self, body, accept, content_type="application/json"):
        connection = http.client.HTTPConnection(self.http_addr, timeout=60)
        if self.ca:
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(self.http_addr, timeout=60, context=context)
        headers = {"Content-Type": content_type, "Accept": accept}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request("POST", "/v1/query", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError("%d %s" % (answer.status, text.decode()))
        return text


def varint(number):
    text = b""
    while number > 127:
        text += bytes([number & 127 | 128])
        number >>= 7
    return text + bytes([number])

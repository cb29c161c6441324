"""Decodes a dnstap capture to Parquet, so that the peers need no DNS reader.

In: FILE.fstrm (Frame Streams, dnstap) and the Parquet file to write. Out: one row per address that a client was given,
with the columns time_ns, client, name, address, ttl, sorted by time. Only CLIENT_RESPONSE messages with answers count.
`name` is the queried name, so aliases (CNAME) are already followed. Never timed.
"""

import ipaddress
import struct
import sys

import pyarrow
import pyarrow.parquet

CLIENT_RESPONSE = 6
TYPE_A, TYPE_AAAA, CLASS_IN = 1, 28, 1


def varint(data, at):
    """Reads a protobuf varint; gives the value and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """Reads one protobuf message, its last value per field number."""
    at, found = 0, {}
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        elif wire == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        else:
            raise ValueError(f"wire type {wire}")
        found[key >> 3] = value
    return found


def name_at(message, at):
    """Reads a domain name (RFC 1035, section 4.1.4); gives it and the place after it."""
    labels, after, jumps = [], None, 0
    while True:
        length = message[at]
        if length == 0:
            at += 1
            break
        if length >= 0xC0:
            after = after or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            jumps += 1
            if jumps > 64:
                raise ValueError("compression loop")
            continue
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels).lower(), after or at


def answers(message):
    """Gives the queried name and its (address, TTL) pairs."""
    _, flags, questions, count, _, _ = struct.unpack_from(">6H", message)
    if flags & 0xF or questions != 1 or count == 0:
        return "", []
    name, at = name_at(message, 12)
    at += 4
    pairs = []
    for _ in range(count):
        _, at = name_at(message, at)
        kind, group, ttl, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if group == CLASS_IN and (kind, length) in ((TYPE_A, 4), (TYPE_AAAA, 16)):
            pairs.append((message[at : at + length], ttl))
        at += length
    return name, pairs


def text(address, seen):
    """Writes an address of 4 or 16 octets; an IPv4-mapped one as IPv4."""
    if address not in seen:
        parsed = ipaddress.ip_address(address)
        seen[address] = str(getattr(parsed, "ipv4_mapped", None) or parsed)
    return seen[address]


def frames(data):
    """Walks the data frames of a Frame Streams file; a cut last frame ends it."""
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        at += 4
        if length == 0:
            (length,) = struct.unpack_from(">I", data, at)
            at += 4 + length
            continue
        if at + length <= len(data):
            yield data[at : at + length]
        at += length


def main():
    source, target = sys.argv[1:3]
    rows, seen, rejected = [], {}, 0
    with open(source, "rb") as file:
        data = file.read()
    for frame in frames(data):
        try:
            message = fields(fields(frame)[14])
            if message.get(1) != CLIENT_RESPONSE or 14 not in message:
                continue
            name, pairs = answers(message[14])
            if pairs:
                time = message[12] * 1_000_000_000 + message.get(13, 0)
                client = text(message[4], seen)
                rows.extend((time, client, name, text(address, seen), ttl) for address, ttl in pairs)
        except (IndexError, KeyError, ValueError, struct.error):
            rejected += 1
    rows.sort()
    kinds = [pyarrow.int64(), pyarrow.string(), pyarrow.string(), pyarrow.string(), pyarrow.uint32()]
    columns = list(zip(*rows)) or [[]] * 5
    table = pyarrow.table(
        [pyarrow.array(column, kind) for column, kind in zip(columns, kinds)],
        names=["time_ns", "client", "name", "address", "ttl"],
    )
    pyarrow.parquet.write_table(table, target)
    print(f"{len(rows)} answers, {rejected} frames rejected", file=sys.stderr)


if __name__ == "__main__":
    main()

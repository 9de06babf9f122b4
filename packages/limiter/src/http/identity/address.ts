import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An address whose IPv4-mapped form (`::ffff:192.0.2.1`) has become IPv4 and whose zone id is gone. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6;

const ZONE = /%[\w.~-]+$/;
const BRACKETED = /^\[([^\]]+)\](?::\d{1,5})?$/;
const V4_WITH_PORT = /^([^:]+):\d{1,5}$/;

/**
 * Reads one address without port or brackets; undefined when it is none. Node decides what an address is, because
 * ipaddr.js also reads `010.1`, `0x7f.1` and plain numbers, which no proxy writes but an attacker may.
 */
export function parseAddress(text: string): Address | undefined {
  const bare = text.includes(':') ? text.replace(ZONE, '') : text;
  if (isIP(bare) === 0 || bare.includes('%') || !ipaddr.isValid(bare)) return undefined;
  return ipaddr.process(bare);
}

/** Reads an address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. */
export function parseHop(text: string): Address | undefined {
  const bracketed = BRACKETED.exec(text)?.[1];
  // Brackets are IPv6's alone: anything else in them is nothing that a proxy wrote.
  if (bracketed !== undefined) return bracketed.includes(':') ? parseAddress(bracketed) : undefined;
  return parseAddress(V4_WITH_PORT.exec(text)?.[1] ?? text);
}

/**
 * The text that stands for an address: IPv4 as it is, IPv6 cut to `ipv6Prefix` bits, in the canonical form of RFC 5952
 * and with the length of the prefix, unless that is 128.
 */
export function networkText(address: Address, ipv6Prefix: number): string {
  if (address instanceof ipaddr.IPv4) return address.toString();
  const kept = address.parts.map((part, index) => part & groupMask(ipv6Prefix - 16 * index));
  const text = new ipaddr.IPv6(kept).toRFC5952String();
  return ipv6Prefix === 128 ? text : `${text}/${ipv6Prefix}`;
}

/** The mask of a 16-bit group of which the first `bits` belong to the prefix. */
function groupMask(bits: number): number {
  return (0xffff << (16 - Math.min(16, Math.max(0, bits)))) & 0xffff;
}

import { LimiterInputError, shown } from './errors.ts';

/** An address as clients are counted: what stands for an IPv4 address has become that, and the zone id is gone. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6;

const ZONE = /%[\w.~-]+$/;
const BRACKETED = /^\[([^\]]+)\](?::\d{1,5})?$/;
const V4_WITH_PORT = /^([^:]+):\d{1,5}$/;

/**
 * Reads one address as its client is counted, without port or brackets; undefined when it is none. The strict
 * forms alone are addresses, as to Node's `isIP`: ipaddr.js also reads `010.1`, `0x7f.1` and plain numbers, which no proxy writes but an attacker may.
 */
export function parseAddress(text: string): Address | undefined {
  const written = parseWritten(text);
  return written instanceof ipaddr.IPv6 ? (translation(written)?.ipv4 ?? written) : written;
}

/** Reads one address as it is written, IPv6 that stands for IPv4 included. */
export function parseWritten(text: string): Address | undefined {
  const bare = text.includes(':') ? text.replace(ZONE, '') : text;
  if (!isStrict(bare) || !ipaddr.isValid(bare)) return undefined;
  return ipaddr.parse(bare);
}

const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const V6_CHARACTERS = /^[\da-f:.]+$/i;

/** Four decimal numbers without leading zeros; or hex groups of up to four digits, whose tail may be such four numbers. */
function isStrict(text: string): boolean {
  if (!text.includes(':')) return V4.test(text);
  if (!V6_CHARACTERS.test(text)) return false;
  const tail = text.slice(text.lastIndexOf(':') + 1);
  return (
    (tail.includes('.') ? V4.test(tail) : true) && text.split(':').every((group) => group === tail || group.length <= 4)
  );
}

/** An IPv6 address that stands for an IPv4 one. */
export interface Translation {
  readonly ipv4: ipaddr.IPv4;
  /** Length of the prefix that all such addresses share. */
  readonly prefixBits: number;
  /** How many bits stand in front of the IPv4 address; undefined where it isn't there in order. */
  readonly bitsInFront: number | undefined;
}

/**
 * What an IPv6 address of a translation stands for. All clients behind one translator share its prefix, so by their first
 * bits they would be one client; and who owns one IPv4 address owns all of its 6to4 networks.
 */
function translation(address: ipaddr.IPv6): Translation | undefined {
  const [first = 0, second = 0, third = 0] = address.parts;
  const groupsAreZero = (from: number, to: number): boolean =>
    address.parts.slice(from, to).every((part) => part === 0);
  if (groupsAreZero(0, 5) && address.parts[5] === 0xffff) return translated(address, 6, 96); // ::ffff:0:0/96, mapped
  if (groupsAreZero(0, 4) && address.parts[4] === 0xffff && address.parts[5] === 0) return translated(address, 6, 96); // SIIT
  if (first === 0x64 && second === 0xff9b && groupsAreZero(2, 6)) return translated(address, 6, 96); // NAT64, RFC 6052
  if (first === 0x64 && second === 0xff9b && third === 1) return translated(address, 6, 48); // NAT64, RFC 8215
  if (first === 0x2002) return translated(address, 1, 16); // 6to4, RFC 3056
  if (first !== 0x2001 || second !== 0) return undefined;
  // Teredo, RFC 4380: the client's address, each bit inverted.
  const [high = 0, low = 0] = address.parts.slice(6);
  return { ipv4: ipv4Of(high ^ 0xffff, low ^ 0xffff), prefixBits: 32, bitsInFront: undefined };
}

function translated(address: ipaddr.IPv6, group: number, prefixBits: number): Translation {
  const [high = 0, low = 0] = address.parts.slice(group);
  return { ipv4: ipv4Of(high, low), prefixBits, bitsInFront: group * 16 };
}

function ipv4Of(high: number, low: number): ipaddr.IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
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

import ipaddr from 'ipaddr.js';

/** A block of addresses: those that share the first `bits` with `base`. */
export interface Cidr {
  readonly base: Address;
  readonly bits: number;
}

/**
 * Reads a list of CIDRs and single addresses, IPv4 and IPv6. What stands for IPv4 (mapped, NAT64, 6to4) becomes
 * that, as {@link Address} does.
 * @param field the option that the list was given as, for the message.
 * @throws {LimiterInputError} when it is no list or an entry is neither, and for `/0`, which would match every client.
 */
export function parseCidrs(field: string, list: unknown): readonly Cidr[] {
  if (!Array.isArray(list)) throw new LimiterInputError(field, `must be a list, not ${shown(list)}`);
  return list.map((entry: unknown) => {
    const cidr = typeof entry === 'string' ? parseCidr(entry) : undefined;
    if (cidr !== undefined) return cidr;
    throw new LimiterInputError(
      field,
      `must hold addresses and CIDRs from /1 on, such as "10.0.0.0/8", not ${shown(entry)}`,
    );
  });
}

/** Whether any of the blocks holds the address. */
export function anyContains(cidrs: readonly Cidr[], address: Address): boolean {
  const kind = address.kind();
  return cidrs.some(({ base, bits }) => base.kind() === kind && address.match(base, bits));
}

function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const written = parseWritten(slash === -1 ? text : text.slice(0, slash));
  if (written === undefined) return undefined;
  const most = written.kind() === 'ipv4' ? 32 : 128;
  const suffix = slash === -1 ? String(most) : text.slice(slash + 1);
  const bits = /^\d{1,3}$/.test(suffix) ? Number(suffix) : Infinity;
  if (bits < 1 || bits > most) return undefined;
  const standsFor = written instanceof ipaddr.IPv6 ? translation(written) : undefined;
  if (standsFor === undefined) return { base: written, bits };
  // Wider than a translation's prefix it holds other addresses too; but with an IPv4 address in it, it is a mistake.
  if (bits < standsFor.prefixBits) {
    const whole = networkText(written, bits) === `${networkText(written, 128)}/${bits}`;
    return whole ? { base: written, bits } : undefined;
  }
  const { ipv4, bitsInFront } = standsFor;
  if (bitsInFront === undefined) return bits === 128 ? { base: ipv4, bits: 32 } : undefined;
  return bits > bitsInFront ? { base: ipv4, bits: Math.min(32, bits - bitsInFront) } : undefined;
}

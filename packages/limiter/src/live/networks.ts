import ipaddr from 'ipaddr.js';
import { LimiterInputError } from '../errors.ts';
import { type Address, parseAddress } from '../http/identity/address.ts';
import { type Cidr, parseCidrs } from '../http/identity/cidr.ts';

/** How `byIp` begins a subject. */
const IP_PREFIX = 'ip:';

/**
 * Reads a subject or list entry that names an address or a network, with or without the `ip:` of `byIp`. Undefined when
 * it names neither.
 * @throws {LimiterInputError} when it is an address with an impossible prefix length.
 */
export function parseNetwork(text: string): Cidr | undefined {
  const bare = text.startsWith(IP_PREFIX) ? text.slice(IP_PREFIX.length) : text;
  const slash = bare.indexOf('/');
  if (parseAddress(slash === -1 ? bare : bare.slice(0, slash)) === undefined) return undefined;
  return parseCidrs('entry', [bare])[0];
}

/** The one text for a network: host bits cleared, IPv4-mapped as IPv4, `/32` and `/128` left out. */
export function canonicalNetwork({ base, bits }: Cidr): string {
  const address = ipaddr.fromByteArray(maskedBytes(base, bits));
  const text = address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
  return bits === address.toByteArray().length * 8 ? text : `${text}/${bits}`;
}

/** Networks and what is said of each; of two that hold an address the longer prefix counts. */
export interface NetworkTable<Value> {
  readonly size: number;
  /** For the subject of an address or a network that lies whole in one of the table. */
  find(subject: string): Value | undefined;
}

/** Makes a {@link NetworkTable}: one look-up for each prefix length that occurs, however many networks there are. */
export function networkTable<Value>(entries: ReadonlyMap<string, Value>): NetworkTable<Value> {
  const lengths = new Set<number>();
  const networks = new Map<string, Value>();
  for (const [text, value] of entries) {
    const cidr = parseNetwork(text);
    if (cidr === undefined) continue;
    lengths.add(cidr.bits);
    networks.set(canonicalNetwork(cidr), value);
  }
  const longestFirst = [...lengths].toSorted((one, other) => other - one);
  return {
    size: networks.size,
    find(subject) {
      const asked = networks.size === 0 ? undefined : readNetwork(subject);
      if (asked === undefined) return undefined;
      for (const bits of longestFirst) {
        const found = bits <= asked.bits ? networks.get(canonicalNetwork({ base: asked.base, bits })) : undefined;
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

/** A subject can be any text: one with an impossible length is no network, and no mistake either. */
function readNetwork(subject: string): Cidr | undefined {
  try {
    return parseNetwork(subject);
  } catch (error) {
    if (error instanceof LimiterInputError) return undefined;
    throw error;
  }
}

function maskedBytes(address: Address, bits: number): number[] {
  return address
    .toByteArray()
    .map((byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, bits - 8 * index)))) & 0xff);
}

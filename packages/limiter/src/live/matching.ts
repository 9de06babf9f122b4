import ipaddr from 'ipaddr.js';
import { type Address, type Cidr, parseAddress, parseCidrs } from '../addresses.ts';
import { LimiterInputError } from '../errors.ts';

/** How `byIp` begins a subject. */
const IP_PREFIX = 'ip:';

/** `byIp` makes one client of so many bits of an IPv6 address, unless it is told otherwise. */
const CLIENT_BITS = 56;

/**
 * Reads a list entry that names an address or a network, with or without the `ip:` of `byIp`. Undefined when it names
 * neither.
 * @throws {LimiterInputError} when it is an address with an impossible prefix length.
 */
export function parseNetwork(text: string): Cidr | undefined {
  const bare = text.startsWith(IP_PREFIX) ? text.slice(IP_PREFIX.length) : text;
  const slash = bare.indexOf('/');
  if (parseAddress(slash === -1 ? bare : bare.slice(0, slash)) === undefined) return undefined;
  return parseCidrs('entry', [bare])[0];
}

/**
 * The stored text of a list entry that names an address or a network; undefined when it names neither. One IPv6 address is
 * less than a client of `byIp`, so it would never match: it is taken only as the subject that an `identify` with a longer
 * `ipv6Prefix` makes of it, `ip:2001:db8::1`.
 * @throws {LimiterInputError} when no subject could match it, with the entry to write instead.
 */
export function listedNetwork(text: string): string | undefined {
  const network = parseNetwork(text);
  if (network === undefined) return undefined;
  const stored = canonicalNetwork(network);
  if (network.base.kind() === 'ipv4' || network.bits <= CLIENT_BITS) return stored;
  if (text.startsWith(IP_PREFIX)) return IP_PREFIX + stored;
  const client = canonicalNetwork({ base: network.base, bits: CLIENT_BITS });
  throw new LimiterInputError(
    'entry',
    `would match no subject: byIp counts a /${CLIENT_BITS} of IPv6 as one client. Name "${client}", or ` +
      `"${IP_PREFIX}${stored}" where its ipv6Prefix is ${network.bits} or more`,
  );
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
  /** For a subject of `byIp` whose address or network lies whole in one of the table: `ip:192.0.2.1`. */
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
      // Only `byIp` begins a subject so: a user who is named like an address is no address.
      const named = networks.size > 0 && subject.startsWith(IP_PREFIX);
      const asked = named ? readNetwork(subject) : undefined;
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

/** A pattern in which `*` stands for any run of characters, also none. No other character is special. */
export interface Glob {
  readonly text: string;
  /** Characters that are not `*`: the more, the closer the pattern. */
  readonly literals: number;
  matches(text: string): boolean;
}

/** Whether a text is a pattern rather than a name. */
export function isGlob(text: string): boolean {
  return text.includes('*');
}

/**
 * Compiles a pattern. The pieces between the stars are looked for one after the other, each as far to the left as it can
 * be, so that a match takes time in proportion to the text: no backtracking, whatever the pattern.
 */
export function compileGlob(text: string): Glob {
  const pieces = text.split('*');
  const head = pieces[0] ?? '';
  const tail = pieces.at(-1) ?? '';
  const middle = pieces.slice(1, -1).filter((piece) => piece !== '');
  const literals = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return {
    text,
    literals,
    matches(candidate) {
      if (candidate.length < literals || !candidate.startsWith(head) || !candidate.endsWith(tail)) return false;
      let from = head.length;
      for (const piece of middle) {
        const at = candidate.indexOf(piece, from);
        if (at === -1) return false;
        from = at + piece.length;
      }
      return from + tail.length <= candidate.length;
    },
  };
}

/** Closest first: most literal characters, then fewest stars, then by the text, so that the order is always the same. */
export function closestFirst(one: Glob, other: Glob): number {
  return one.literals !== other.literals
    ? other.literals - one.literals
    : one.text.length - other.text.length || (one.text < other.text ? -1 : 1);
}

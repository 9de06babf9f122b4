import { LimiterInputError, shown } from '../../errors.ts';
import { type Address, parseAddress } from './address.ts';

/** A block of addresses: those that share the first `bits` with `base`. */
export interface Cidr {
  readonly base: Address;
  readonly bits: number;
}

const MAPPED_BITS = 96;

/**
 * Reads a list of CIDRs and single addresses, IPv4 and IPv6. IPv4-mapped ones become IPv4, as {@link Address} does.
 * @param field the option that the list was given as, for the message.
 * @throws {LimiterInputError} when it is no list or an entry is neither, and for `/0`, which would take in everybody.
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
  const base = parseAddress(slash === -1 ? text : text.slice(0, slash));
  if (base === undefined) return undefined;
  const most = base.kind() === 'ipv4' ? 32 : 128;
  if (slash === -1) return { base, bits: most };
  const suffix = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(suffix)) return undefined;
  // An IPv4 base that was written with colons was mapped: its first 96 bits are gone, so the length counts from there.
  const folded = base.kind() === 'ipv4' && text.includes(':');
  const bits = Number(suffix) - (folded ? MAPPED_BITS : 0);
  return bits >= 1 && bits <= most ? { base, bits } : undefined;
}

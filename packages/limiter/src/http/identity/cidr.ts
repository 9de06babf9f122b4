import ipaddr from 'ipaddr.js';
import { LimiterInputError, shown } from '../../errors.ts';
import { type Address, networkText, parseWritten, translation } from './address.ts';

/** A block of addresses: those that share the first `bits` with `base`. */
export interface Cidr {
  readonly base: Address;
  readonly bits: number;
}

/**
 * Reads a list of CIDRs and single addresses, IPv4 and IPv6. What stands for IPv4 (mapped, NAT64, 6to4) becomes
 * that, as {@link Address} does.
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

import { LimiterInputError, shown } from '../../errors.ts';
import type { Identify } from './identity.ts';

/**
 * Asks one after the other and takes the first that knows; later ones aren't asked. It answers at once as long as those
 * it asks do. Put what was verified first: whoever can choose which one answers can choose whom to be counted as.
 * @example
 * ```ts
 * const identify = firstOf(byJwtSubject({ verify }), byIp({ remoteAddress }));
 * ```
 * @throws {LimiterInputError} at construction, without any or when one is no function.
 */
export function firstOf<Req = Request>(...identifies: readonly Identify<Req>[]): Identify<Req> {
  if (identifies.length === 0) throw new LimiterInputError('identifies', 'must be at least one function, not none');
  for (const identify of identifies) {
    if (typeof identify !== 'function') {
      throw new LimiterInputError('identifies', `must be functions, not ${shown(identify)}`);
    }
  }
  return (request) => askFrom(identifies, 0, request);
}

function askFrom<Req>(identifies: readonly Identify<Req>[], from: number, request: Req): ReturnType<Identify<Req>> {
  for (const [index, identify] of identifies.entries()) {
    if (index < from) continue;
    const named = identify(request);
    if (typeof named === 'string') return named;
    if (named !== undefined) return orFrom(named, identifies, index + 1, request);
  }
  return undefined;
}

async function orFrom<Req>(
  named: Promise<string | undefined>,
  identifies: readonly Identify<Req>[],
  next: number,
  request: Req,
): Promise<string | undefined> {
  return (await named) ?? askFrom(identifies, next, request);
}

import { LimiterInputError, shown } from '../../errors.ts';
import { type Identify, type IdentifyInContext, isOfHeadersAlone, readsHeadersAlone } from './identity.ts';

/**
 * Asks one after the other and takes the first that knows; later ones aren't asked. It answers at once as long as those
 * it asks do. Each but the last must verify what it reads: a client that can make one up chooses whom to be counted as.
 * @example
 * ```ts
 * const identify = firstOf(byJwtSubject({ verify }), byIp({ trustedProxies: ['10.0.0.0/8'] }));
 * ```
 * @throws {LimiterInputError} at construction, without any or when one is no function.
 */
export function firstOf<Req = Request>(...identifies: readonly IdentifyInContext<Req>[]): IdentifyInContext<Req> {
  if (identifies.length === 0) throw new LimiterInputError('identifies', 'must be at least one function, not none');
  for (const identify of identifies) {
    if (typeof identify !== 'function') {
      throw new LimiterInputError('identifies', `must be functions, not ${shown(identify)}`);
    }
  }
  const first: IdentifyInContext<Req> = (request, context) => askFrom(identifies, 0, request, context);
  return identifies.every(isOfHeadersAlone) ? readsHeadersAlone(first) : first;
}

function askFrom<Req>(
  identifies: readonly IdentifyInContext<Req>[],
  from: number,
  request: Req,
  context: unknown,
): ReturnType<Identify<Req>> {
  for (const [index, identify] of identifies.entries()) {
    if (index < from) continue;
    const named = identify(request, context);
    if (typeof named === 'string') return named;
    if (named !== undefined) return orElse(named, () => askFrom(identifies, index + 1, request, context));
  }
  return undefined;
}

async function orElse(
  named: Promise<string | undefined>,
  next: () => string | undefined | Promise<string | undefined>,
): Promise<string | undefined> {
  return (await named) ?? next();
}

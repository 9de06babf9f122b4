import { badRequestProblem, problemException } from './problems.ts';

/**
 * Where a change belongs, which a path says, and its body may say again: so that an answer of GET can be sent back.
 * @returns the place
 * @throws {HTTPException} that becomes a 400 when they differ
 */
export function samePlace<const Place extends Readonly<Record<string, string>>>(
  body: { readonly [Name in keyof Place]?: unknown },
  place: Place,
): Place {
  const errors = Object.keys(place)
    .filter((name) => body[name] !== undefined && body[name] !== place[name])
    .map((name) => ({ field: name, detail: 'must be absent or as in the path' }));
  if (errors.length > 0) throw problemException(badRequestProblem(errors));
  return place;
}

/**
 * A rule for every subject belongs in the policy, and needs the scope that changes policies.
 * @throws {HTTPException} that becomes a 400 for a pattern that every subject fits
 */
export function refuseEverybody(field: string, pattern: string): void {
  if (!/^\*+$/u.test(pattern)) return;
  throw problemException(
    badRequestProblem([{ field, detail: 'must not match every subject: change the policy instead' }]),
  );
}

import { z } from '@hono/zod-openapi';
import { badRequestProblem, problemException } from '../problems.ts';
import type { LiveChange } from '@spillway/limiter';

/** Whom a change of policies, overrides, lists or blocks of everything reaches. */
interface Reach {
  readonly otherLimiters: number;
  readonly warning?: string | undefined;
}

/** {@link Reach} for the OpenAPI document. */
export const reachSchema: z.ZodType<Reach> = z
  .object({
    otherLimiters: z.number().openapi({
      description:
        'How many other limiters on the same Redis have `live` and apply this within a second. Those of other API processes count too.',
    }),
    warning: z.string().optional().openapi({ description: 'Present when there are none.' }),
  })
  .openapi('Reach');

/** What an answer of `PUT` adds to one of `GET`; sent back, it is ignored. */
export const reachIgnored: Readonly<Record<keyof Reach, z.ZodOptional<z.ZodUnknown>>> = {
  otherLimiters: z.unknown().optional().openapi({ description: 'Ignored.' }),
  warning: z.unknown().optional().openapi({ description: 'Ignored.' }),
};

const NOBODY =
  'No other limiter takes this over: it holds for decisions of this API alone. An application takes changes over when its limiter is made with live: true on the same Redis.';

/** The part of an answer that says so. */
export function reachOf({ otherLimiters }: Pick<LiveChange, 'otherLimiters'>): Reach {
  return otherLimiters === 0 ? { otherLimiters, warning: NOBODY } : { otherLimiters };
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

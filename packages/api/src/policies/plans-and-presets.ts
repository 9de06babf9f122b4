import { z } from '@hono/zod-openapi';
import { BreakerInputError } from '@spillway/breaker';
import type { LivePolicies, Plan, StoredPreset } from '@spillway/limiter';
import { plainPreset, presetOf, presetSchema } from '@spillway/runtime/file';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { boundedText, listOf, strictObject } from '../openapi/fields.ts';
import { unknownThingProblem } from '../problems.ts';
import { type NamedKind, namedRoutes } from './named-entries.ts';

/** A plan's policies; the limiter checks their names. */
const policies = listOf(boundedText(64), 16, 'policies').openapi({ example: ['uploads', 'logins'] });

/** An entry's name, which the path says, and its body may say again. */
const name = z.string().optional().openapi({ description: 'As in the path.' });

const plans: NamedKind<Plan> = {
  noun: 'plan',
  missing: () => unknownThingProblem('plan'),
  title: 'Plan',
  tag: 'policies',
  description: 'It holds within a second in programs that look plans up with `live`: see docs/policy-file.md.',
  view: z.object({ name: z.string(), policies: z.array(z.string()) }).openapi('Plan'),
  body: strictObject({ name, policies }).openapi('PlanRequest'),
  of: (entries) => entries.plans,
  checked: (at, body) => ({ name: at, policies: [body['policies']].flat().map(String) }),
  set: async (live, plan, by) => live.setPlan(plan, by),
  remove: async (live, at, by) => live.removePlan(at, by),
};

const presets: NamedKind<StoredPreset> = {
  noun: 'preset',
  missing: () => unknownThingProblem('preset'),
  title: 'Preset',
  tag: 'breakers',
  description: 'It is stored for the next start of programs that read it: running breakers keep theirs.',
  view: z.object({ name: z.string(), ...presetSchema.shape }).openapi('Preset'),
  body: strictObject({ name, ...presetSchema.shape }).openapi('PresetRequest'),
  of: (entries) => entries.presets,
  checked: checkedPreset,
  set: async (live, preset, by) => live.setPreset(preset, by),
  remove: async (live, at, by) => live.removePreset(at, by),
};

/** Complete, so that GET answers what holds. @throws {BreakerInputError} that names a member of the body */
function checkedPreset(at: string, { name: _name, ...options }: Readonly<Record<string, unknown>>): StoredPreset {
  try {
    return { ...plainPreset(presetOf(at, options)) };
  } catch (error) {
    if (!(error instanceof BreakerInputError)) throw error;
    throw new BreakerInputError(error.field.replace(`preset ${at}: `, ''), error.problem);
  }
}

/** `/v1/plans` and `/v1/presets`: what else is stored beside policies, overrides and lists. */
export function planAndPresetRoutes(app: ApiApp, live: LivePolicies, guard: Guard): void {
  namedRoutes(app, live, plans, guard);
  namedRoutes(app, live, presets, guard);
}

import type { LiveEntries, Policy } from '@spillway/limiter';
import { stringify } from 'yaml';
import { plainPreset, storedContent } from './policy-file.ts';

/** The first line of an exported file: where editors find the schema. */
const SCHEMA_LINE = '# yaml-language-server: $schema=./node_modules/@spillway/cli/spillway.schema.json';

/**
 * What is set, as a `spillway.yaml`: to apply it changes nothing. Blocks are no part of it. In the order of names, so that two exports
 * can be compared line by line.
 */
export function exportFile(entries: LiveEntries): string {
  const { policies, overrides, allowed, denied, plans, presets } = storedContent(entries);
  const byName = <Of extends { readonly name: string }>(list: readonly Of[]): Of[] =>
    list.toSorted((one, other) => order(one.name, other.name));
  const document = {
    ...(policies.length > 0 && { policies: Object.fromEntries(byName(policies).map((of) => [of.name, written(of)])) }),
    ...(overrides.length > 0 && {
      overrides: overrides.toSorted(
        (one, other) => order(one.policy, other.policy) || order(one.subject, other.subject),
      ),
    }),
    ...(allowed.length + denied.length > 0 && {
      lists: {
        ...(allowed.length > 0 && { allow: allowed.toSorted(order) }),
        ...(denied.length > 0 && { deny: denied.toSorted(order) }),
      },
    }),
    ...(plans.length > 0 && { plans: Object.fromEntries(byName(plans).map((plan) => [plan.name, plan.policies])) }),
    ...(presets.length > 0 && {
      breakers: Object.fromEntries(
        byName(presets).map((preset) => {
          const { name, ...options } = plainPreset(preset);
          return [name, options];
        }),
      ),
    }),
  };
  // Aliases and folded lines would make the file harder to read and to compare.
  return `${SCHEMA_LINE}\n${stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 })}`;
}

/** Without what every policy has unless it says otherwise. */
function written({ name: _name, ...policy }: Policy): object {
  const { windowMs, blockMs, onUnavailable, mode, algorithm, limit, ...own } = policy;
  return {
    algorithm,
    limit,
    ...(algorithm !== 'quota' && { windowMs }),
    ...(blockMs > 0 && { blockMs }),
    ...(onUnavailable !== 'open' && { onUnavailable }),
    ...(mode !== 'enforce' && { mode }),
    ...own,
  };
}

/** By code units: the same on every machine, whatever its language. */
function order(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

import { definePreset, type Preset } from './preset.ts';

const SECOND = 1000;

/** AI providers: 5 failures in a row open for 60 s; 2 probes. Generations are slow, so calls may take 2 minutes. */
export const aiProvider: Preset<'ai_provider'> = definePreset({
  name: 'ai_provider',
  trip: { strategy: 'consecutive', failures: 5 },
  openMs: 60 * SECOND,
  probes: 2,
  timeoutMs: 120 * SECOND,
});

/** Object stores: 3 failures in a row open for 30 s; 1 probe; calls may take 30 s. */
export const storage: Preset<'storage'> = definePreset({
  name: 'storage',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 30 * SECOND,
  probes: 1,
  timeoutMs: 30 * SECOND,
});

/** Other people's webhooks: 10 failures in a row open for 2 minutes; 3 probes; calls may take 10 s. */
export const webhook: Preset<'webhook'> = definePreset({
  name: 'webhook',
  trip: { strategy: 'consecutive', failures: 10 },
  openMs: 120 * SECOND,
  probes: 3,
  timeoutMs: 10 * SECOND,
});

/** Mail providers: 5 failures in a row open for 60 s; 2 probes; calls may take 30 s. */
export const email: Preset<'email'> = definePreset({
  name: 'email',
  trip: { strategy: 'consecutive', failures: 5 },
  openMs: 60 * SECOND,
  probes: 2,
  timeoutMs: 30 * SECOND,
});

/** The four built-in presets. */
export const builtInPresets: readonly [typeof aiProvider, typeof storage, typeof webhook, typeof email] = [
  aiProvider,
  storage,
  webhook,
  email,
];

/** The names of the built-in presets. */
export type BuiltInName = (typeof builtInPresets)[number]['name'];

import { expectTypeOf, it } from 'vitest';
import { definePolicy, tiers } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { Decision } from '../types.ts';
import { createLimiter } from './create-limiter.ts';

const custom = definePolicy({ name: 'uploads', limit: 5, windowMs: 1000 });
const limiter = createLimiter({ store: memoryStore(), policies: [...tiers, custom] });

it('knows the names of its policies', () => {
  expectTypeOf(limiter.consume).parameter(0).toEqualTypeOf<'strict' | 'standard' | 'generation' | 'auth' | 'uploads'>();
  expectTypeOf(limiter.consume).returns.resolves.toEqualTypeOf<Decision>();
});

it('refuses a name that is not one', () => {
  // @ts-expect-error misspelt
  expectTypeOf(limiter.consume).toBeCallableWith('generaton', 'u');
});

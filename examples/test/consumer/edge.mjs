/*
 * An application for runtimes without TCP: it limits, and guards its calls by breakers, over the API. Bundled by a test, it must hold neither a Redis client nor a
 * module of Node's.
 */
import { createBreakers, definePreset, httpStore as breakerStore } from '@spillway/breaker/http-store';
import { rateLimit } from '@spillway/limiter/hono';
import { byApiKey } from '@spillway/limiter/http';
import { createLimiter, httpStore, tiers } from '@spillway/limiter/http-store';
import { Hono } from 'hono';

let app;

function appOf({ API_URL, API_KEY }) {
  const store = httpStore({ url: API_URL, key: API_KEY, deadlineMs: 5_000 });
  const limiter = createLimiter({ store, policies: tiers });
  const identify = byApiKey({ verify: (key) => key === 'demo' });
  return new Hono()
    .use(rateLimit({ limiter, policy: 'strict', identify }))
    .get('/', (context) => context.text(context.get('rateLimit').decision.cause ?? 'api'));
}

const preset = definePreset({
  name: 'edge',
  trip: { strategy: 'consecutive', failures: 3 },
  openMs: 60_000,
  quorum: 1,
});

const fails = () => Promise.reject(new Error('boom'));

/** Breakers of one request, as on workers timers end with it: read before the call, and told of what it came to. */
async function guarded({ API_URL, API_KEY }, context) {
  const store = breakerStore({ url: API_URL, key: API_KEY, deadlineMs: 5_000 });
  const breakers = createBreakers({ store, presets: [preset] });
  await breakers.get('provider', 'edge').read();
  const answer = await breakers.run('provider', 'edge', fails).catch((error) => error.code ?? error.message);
  const closed = breakers.close();
  context?.waitUntil(closed);
  // A test wants the next request to find it told.
  await closed;
  return new Response(answer);
}

// oxlint-disable-next-line import/no-default-export -- what a worker is
export default {
  fetch(request, env, context) {
    if (new URL(request.url).pathname === '/guarded') return guarded(env, context);
    app ??= appOf(env);
    return app.fetch(request, env);
  },
};

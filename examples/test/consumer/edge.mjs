/*
 * An application for runtimes without TCP: it limits over the API. Bundled by a test, it must hold neither a Redis client nor a
 * module of Node's.
 */
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

// oxlint-disable-next-line import/no-default-export -- what a worker is
export default {
  fetch(request, env) {
    app ??= appOf(env);
    return app.fetch(request, env);
  },
};

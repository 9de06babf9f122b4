import { byApiKey } from '@spillway/limiter/http';
import { limiter } from '../../lib/guard';
import { withRateLimit } from '../../lib/with-rate-limit';

export const dynamic = 'force-dynamic';

const identify = byApiKey({ verify: (key) => key === 'demo' });
export const GET = withRateLimit({ limiter, policy: 'strict', identify }, () =>
  Response.json([{ title: 'How a spillway works' }]),
);

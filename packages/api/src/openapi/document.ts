import path from 'node:path';
import type { ApiApp } from './api-app.ts';
import { refusals } from './responses.ts';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { secureHeaders } from 'hono/secure-headers';
import type { MiddlewareHandler } from 'hono';

/** The OpenAPI 3.1 document of all routes that the application has by now. */
export function openApiDocument(app: ApiApp): object {
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Spillway',
      version: '1',
      description:
        'Rate limits, circuit breakers and their audit trail. Every answer from 400 on is a problem document (RFC 9457).',
      license: { name: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'limits', description: 'Decisions about subjects.' },
      { name: 'policies', description: 'Rules, and exceptions from them.' },
      { name: 'breakers', description: 'Circuit breakers across the fleet.' },
      { name: 'audit', description: 'The trail in Postgres.' },
      { name: 'metrics', description: 'Samples and their statistics.' },
      { name: 'maintenance', description: 'Maintenance jobs, for cron.' },
      { name: 'keys', description: 'Keys of this API.' },
      { name: 'health', description: 'Health, for load balancers.' },
    ],
  });
  for (const [route, operations] of Object.entries(document.paths ?? {})) {
    for (const operation of [operations.get, operations.post, operations.put, operations.delete]) {
      if (operation !== undefined) describeCommon(route, operation);
    }
  }
  return document;
}

type Operation = NonNullable<NonNullable<ReturnType<ApiApp['getOpenAPI31Document']>['paths']>[string]['get']>;

const text = { type: 'string' } as const;
const requestId = { description: 'Of this request: its own, or the one that was sent.', schema: text };
const retryAfter = { description: 'Seconds until it makes sense to ask again.', schema: text };
const challenge = { description: 'What the key lacks (RFC 6750).', schema: text };
const idempotencyResult = {
  description: 'What a retry with the Idempotency-Key would get; absent without the header.',
  schema: { type: 'string' as const, enum: ['stored', 'replayed', 'not-stored'] },
};

const needsKey = [400, 401, 403, 429, 503] as const;
const hasBody = [413, 415] as const;

/** Adds what routes have in common: the refusals of a guard, of a body and of a condition, and the headers of their answers. */
function describeCommon(route: string, operation: Operation): void {
  const responses = (operation.responses ??= {});
  const isConditional = operation.parameters?.some((one) => 'name' in one && one.name === 'If-Match') === true;
  const common = [
    ...((operation.security ?? []).length > 0 ? needsKey : []),
    ...(operation.requestBody === undefined ? [] : hasBody),
    ...(isConditional ? ([412] as const) : []),
  ];
  for (const status of common) {
    responses[status] ??= {
      description: refusals[status],
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  }
  const charges = /^\/v1\/limits\/.*(?:consume|consume-all|batch|penalize|reward)$/u.test(route);
  for (const [status, response] of Object.entries(responses)) {
    if ('$ref' in response) continue;
    response.headers = {
      ...response.headers,
      'X-Request-Id': requestId,
      ...(['409', '429', '503'].includes(status) ? { 'Retry-After': retryAfter } : {}),
      ...(['401', '403'].includes(status) ? { 'WWW-Authenticate': challenge } : {}),
      ...(charges && status === '200' ? { 'Idempotency-Result': idempotencyResult } : {}),
      ...(status === '202' ? { Location: { description: 'Where the run is.', schema: text } } : {}),
    };
  }
}

/** Registers the authentication schemes. */
export function describeSecurity(app: ApiApp): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', {
    type: 'http',
    scheme: 'bearer',
    description: `An API key (\`sw_…\`), or a JWT where the operator has configured an issuer, whose \`scope\` names these with the
prefix \`spillway:\`. Each route says which scope it needs. \`decide\`: decisions. \`read\`: the trail, policies, breakers and metrics.
\`metrics\`: recording samples. \`operate\`: blocks, resets, overrides, lists, breakers. \`maintain\`: maintenance jobs.
\`admin\`: everything, policies and keys included.`,
  });
}

/** What a page needs beyond {@link pageSecurityHeaders}'s least. */
interface PageNeeds {
  /** Images in the styles as `data:` URLs. */
  readonly dataImages?: boolean;
  /** Fonts of this host. */
  readonly fonts?: boolean;
  /** A `<base>` that points to this host. */
  readonly base?: boolean;
}

const OWN = ["'self'"];
const NONE = ["'none'"];

/** Security headers of our pages: they load only from this host, and must not be framed. All of them set styles from scripts. */
export function pageSecurityHeaders({
  dataImages = false,
  fonts = false,
  base = false,
}: PageNeeds = {}): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: NONE,
      scriptSrc: OWN,
      styleSrc: [...OWN, "'unsafe-inline'"],
      imgSrc: dataImages ? [...OWN, 'data:'] : OWN,
      ...(fonts ? { fontSrc: OWN } : {}),
      connectSrc: OWN,
      baseUri: base ? OWN : NONE,
      formAction: NONE,
      frameAncestors: NONE,
    },
  });
}

/** What the page loads, all of it from the `swagger-ui-dist` package on this machine. */
const assets: ReadonlyMap<string, string> = new Map([
  ['swagger-ui.css', 'text/css; charset=utf-8'],
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['favicon-32x32.png', 'image/png'],
]);

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Spillway API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/init.js"></script>
</body>
</html>
`;

/** In a file of its own, so that the page needs no inline script. Without `validatorUrl: null` it would ask a server elsewhere. */
const script = `window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
`;

const secured = pageSecurityHeaders({ dataImages: true });

/** `/docs`: the OpenAPI document as a page, served without any other site. */
export function docsPage(app: ApiApp): void {
  const folder = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const loaded = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  const load = (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    const present = loaded.get(name) ?? readFile(path.join(folder, name)).then((bytes) => Uint8Array.from(bytes));
    loaded.set(name, present);
    return present;
  };
  app.get('/docs', secured, (context) => context.html(page));
  app.get('/docs/init.js', secured, (context) =>
    context.body(script, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }),
  );
  for (const [name, type] of assets) {
    app.get(`/docs/${name}`, secured, async (context) =>
      context.body(await load(name), 200, { 'Content-Type': type, 'Cache-Control': 'public, max-age=86400' }),
    );
  }
}

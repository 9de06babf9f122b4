import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pageSecurityHeaders } from '../page-security.ts';
import type { ApiApp } from './api-app.ts';

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

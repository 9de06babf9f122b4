const path = require('node:path');

module.exports = {
  mode: 'production',
  target: 'node20',
  entry: './app.mjs',
  output: { path: path.join(__dirname, 'out'), filename: 'webpack.cjs' },
};

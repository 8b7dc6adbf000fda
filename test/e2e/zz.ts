import { cpSync, readFileSync, writeFileSync, rmSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { serviceBuild } from '../support/service-build.ts';
import { startTestServer } from '../support/nats-server.ts';
import { createDataDir, runCommand } from '../support/service-process.ts';
const program = await serviceBuild();
const from = program.replace('/dist/cli/jetledger.js', ''); const to = from.replace(/[^/]+$/, 'dbg');
rmSync(to, { recursive: true, force: true }); cpSync(from, to, { recursive: true, verbatimSymlinks: true });
const edit = (f: string, pairs: [string, string][]) => { let s = readFileSync(`${to}/dist/${f}`, 'utf8'); for (const [a, b] of pairs) { if (!s.includes(a)) throw new Error(`${f}: ${a}`); s = s.replace(a, b); } writeFileSync(`${to}/dist/${f}`, s); };
edit('cli/processes.js', [['await Promise.all([engine.stop(), fired.stop(), delivery.stop()]);', "const W=(n,p)=>p.then(()=>console.log('CLOSED',n)); await Promise.all([W('engine',engine.stop()), W('fired',fired.stop()), W('delivery',delivery.stop())]);"]]);
edit('processes/engine/engine.js', [['await Promise.all(keepers.map((keeper) => keeper.serve(session)));', "await Promise.all(keepers.map((keeper) => keeper.serve(session).then(()=>console.log('KEEPER',keeper.name))));console.log('KEEPERS');"], ['await session.end();', "{await session.end();console.log('SESSION');}"]]);
edit('main.js', [['await close();', "{console.log('CLOSING',String(close).slice(0,60).replace(/\\n/g,' ')); await close();}"]]);
const port0 = { JETLEDGER_HTTP__PORT: '0', PATH: process.env.PATH };
for (let i = 0; i < 14; i++) {
  await using server = await startTestServer(); await using data = await createDataDir();
  const env = { ...port0, ...data.variables, NATS_URL: server.url, JETLEDGER_SERVICE__SHUTDOWN_TIMEOUT_MS: '3000' };
  await runCommand(['topology', 'apply'], { ...data.variables, NATS_URL: server.url });
  const p = spawn(process.execPath, [`${to}/dist/cli/jetledger.js`, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = ''; p.stdout.setEncoding('utf8').on('data', (d) => { out += d; if (/answers at/.test(out)) setTimeout(() => p.kill('SIGTERM'), (i % 5) * 15); });
  const code = await new Promise((r) => p.once('close', r));
  console.log(i, code, code === 0 ? '' : out.split('\n').filter((l) => !l.startsWith('{')).join('\n'));
}
rmSync(to, { recursive: true, force: true });

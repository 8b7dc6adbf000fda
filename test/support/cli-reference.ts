import { CATALOGUE, helpOf, OVERVIEW } from '../../src/cli/catalogue.ts';

const BEFORE = `# The command line

What \`jetledger help\` says, written by \`npm run cli:reference\`.

In a clone, \`npx jetledger\` runs what \`make build\` has built. Without \`NATS_URL\` a command joins the embedded server of
the configured data folder, or starts it for as long as it needs it.

| exit code | means |
|---|---|
| 0 | done; what was looked at is in order |
| 1 | failed, refused, interrupted, or not in order: one line on standard error says why |
| 2 | wrong usage: an unknown command or option, a missing argument |

Every command that prints something, scripts aside, takes \`--json\`: one JSON value on standard output (\`rebuild\`: one
line for each view), nothing else. Times are milliseconds since 1970 or ISO 8601, sizes bytes. Waiting is bounded
everywhere; Ctrl-C ends a command cleanly, a second one at once.

What takes long (\`rebuild\`, \`backup\`, \`restore\`, \`verify\`, \`parked redrive\`) tells on standard error how far it is, how
fast, and what is left: one line on a terminal, a line every 5 s elsewhere, nothing with \`--json\`.
`;

/** The page of the command line, from the commands themselves. */
export async function cliReference(): Promise<string> {
  const sections = [section('Overview', OVERVIEW)];
  for (const { name, load } of CATALOGUE) sections.push(section(name, helpOf(await load())));
  return [BEFORE, ...sections].join('\n');
}

function section(title: string, text: string): string {
  return `## ${title}\n\n\`\`\`text\n${text}\n\`\`\`\n`;
}

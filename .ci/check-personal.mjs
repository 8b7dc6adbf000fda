// Refuses fields of protos that are named like personal data and neither marked as it nor excused with a reason.
//   node .ci/check-personal.mjs [folder]   this repository's proto unless another folder is given
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFileRegistry, fromBinary, getOption, hasOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = resolve(process.argv[2] ?? join(root, 'proto'));

/** Words of a field's name that say who somebody is, where they live, or what somebody typed. */
const PERSONAL = new Set(
  `email mail name names nickname surname address addresses street city postcode zip phone mobile birth birthday born
  gender nationality passport iban ssn ip agent avatar photo contact recipient reason note notes comment message text
  description remark metadata`.split(/\s+/),
);

/** What contracts for others say of products: these import nothing of ours, so their excuses stand here. */
const OF_PRODUCTS = new Set(
  ['catalogue.v1.ProductListed', 'catalogue.v1.ProductRenamed', 'orders.v1.OrderLine'].map(
    (message) => `jetledger.public.${message}.name`,
  ),
);

function descriptors() {
  const buf = join(root, 'node_modules', '.bin', 'buf');
  const built = spawnSync(buf, ['build', folder, '-o', '-'], { maxBuffer: 64 * 1024 * 1024 });
  if (built.status !== 0) throw new Error(`buf build failed: ${built.stderr}`);
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, built.stdout));
}

function* problemsOf(registry) {
  const personal = registry.getExtension('jetledger.options.v1.personal');
  const notPersonal = registry.getExtension('jetledger.options.v1.not_personal');
  const isMarked = (field) => personal !== undefined && hasOption(field, personal);
  const excuse = (field) => (notPersonal === undefined ? '' : getOption(field, notPersonal).trim());
  const holdsMark = ({ message }, seen = new Set()) =>
    message !== undefined &&
    !seen.has(message) &&
    message.fields.some((field) => isMarked(field) || holdsMark(field, seen.add(message)));
  for (const message of registry) {
    if (message.kind !== 'message' || message.typeName.startsWith('google.')) continue;
    for (const field of message.fields) {
      const word = field.name.split('_').find((part) => PERSONAL.has(part));
      const name = `${message.typeName}.${field.name}`;
      if (word === undefined || isMarked(field) || holdsMark(field)) continue;
      if (excuse(field) !== '' || OF_PRODUCTS.has(name)) continue;
      yield `${name} is named like personal data (${word}). Mark whose it is: ` +
        '[(jetledger.options.v1.personal).subject = "user_id"], or say why it is none: ' +
        '[(jetledger.options.v1.not_personal) = "..."]';
    }
  }
}

const problems = [...problemsOf(descriptors())];
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exit(problems.length > 0 ? 1 : 0);

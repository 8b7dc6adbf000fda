import { describe, expect, it, test } from 'vitest';
import {
  article,
  CannotMake,
  checkName,
  identifierOf,
  pluralOf,
  renamed,
} from '../../../src/generator/names.ts';
import { generatedFile } from '../../../src/generator/new.ts';

describe('a name', () => {
  it.each(['book', 'a1', 'invoice', 'x'.repeat(31)])('%s is good for an aggregate', (name) => {
    expect(checkName('an aggregate', name)).toBe(name);
  });

  it.each(['', 'x', 'Book', 'order-line', 'order_line', '1st', 'élan', 'fence', 'class', 'x'.repeat(32)])(
    '%j is refused, with what would be one',
    (name) => {
      expect(() => checkName('an aggregate', name)).toThrow(CannotMake);
      expect(() => checkName('an aggregate', name)).toThrow(/no name of an aggregate: take one word/);
    },
  );
});

test.each([
  ['book', 'books'],
  ['entry', 'entries'],
  ['day', 'days'],
  ['box', 'boxes'],
  ['bus', 'buses'],
  ['batch', 'batches'],
  ['dish', 'dishes'],
])('more than one %s are %s', (one, many) => {
  expect(pluralOf(one)).toBe(many);
});

test.each([
  ['invoice', 'an'],
  ['task', 'a'],
])('%s has the article %s', (word, expected) => {
  expect(article(word)).toBe(expected);
});

test('words with - between are an identifier in camel case', () => {
  expect(identifierOf('late-invoices-2')).toBe('lateInvoices2');
});

describe('a text of the template', () => {
  it('has the new word in every form, with its article', () => {
    const text = 'A task, a task, tasks, Tasks: TaskOpened, taskRoutes, TASK';
    expect(renamed(text, 'task', 'entry')).toBe(
      'An entry, an entry, entries, Entries: EntryOpened, entryRoutes, ENTRY',
    );
    expect(renamed(text, 'task', 'task')).toBe(text);
  });

  it('takes names that hold the words of the template', () => {
    const file = { path: 'proto/starter/task.proto', text: 'package starter.task.v1; // a task' };
    expect(generatedFile(file, 'taskboard', 'starterkit')).toEqual({
      path: 'proto/taskboard/starterkit.proto',
      text: 'package taskboard.starterkit.v1; // a starterkit',
    });
  });
});

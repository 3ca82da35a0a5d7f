// Executes a state machine in Amazon's States Language, as much of it as the
// check for missed runs uses: Wait, Choice, Map, Succeed and Task with
// listObjectsV2 and sns:publish, Assign, Output and Catch, with the JSONata
// that Step Functions has. Standard input is
// {definition, input, keys, fails, sparse}: keys are what is in the bucket,
// fails which request to it does, for good (0 is none), sparse leaves out of
// answers what is empty. Standard output is
// {mails, lists, waited, status, error}.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const jsonata = createRequire(new URL('../.e2e/package.json', import.meta.url))('jsonata');

const { definition, input, keys, fails = 0, sparse = false } = JSON.parse(readFileSync(0, 'utf8'));
const out = { mails: [], lists: [], waited: 0, status: 'FAILED' };
const variables = {};

class StateError extends Error {
  constructor(name, cause) { super(cause); this.error = { Error: name, Cause: cause }; }
}

// value evaluates {% … %} wherever it stands.
async function value(template, states) {
  if (typeof template === 'string' && template.startsWith('{%') && template.endsWith('%}')) {
    let v;
    try {
      v = await jsonata(template.slice(2, -2)).evaluate(undefined, { states, ...variables });
    } catch (e) {
      throw new StateError('States.QueryEvaluationError', `${template}: ${e.message}`);
    }
    if (v === undefined) throw new StateError('States.QueryEvaluationError', `${template} is nothing`);
    return JSON.parse(JSON.stringify(v));
  }
  if (Array.isArray(template)) return Promise.all(template.map((t) => value(t, states)));
  if (template && typeof template === 'object') {
    const o = {};
    for (const [k, t] of Object.entries(template)) o[k] = await value(t, states);
    return o;
  }
  return template;
}

// listObjectsV2 as S3 does it, one page.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
function listObjectsV2({ Bucket, Prefix = '', Delimiter, StartAfter = '', MaxKeys = 1000, ...rest }) {
  if (Object.keys(rest).length) throw new StateError('States.Runtime', `unknown arguments ${Object.keys(rest)}`);
  out.lists.push({ Bucket, Prefix });
  if (out.lists.length === fails) throw new StateError('S3.S3Exception', 'Access Denied');
  const contents = [], prefixes = [];
  for (const Key of [...keys].sort()) {
    if (!Key.startsWith(Prefix) || Key <= StartAfter || contents.length + prefixes.length >= MaxKeys) continue;
    const end = Delimiter ? Key.indexOf(Delimiter, Prefix.length) : -1;
    if (end < 0) contents.push({ Key, Size: 1 });
    else if (prefixes.at(-1)?.Prefix !== Key.slice(0, end + 1)) prefixes.push({ Prefix: Key.slice(0, end + 1) });
  }
  const answer = { IsTruncated: false, KeyCount: contents.length + prefixes.length, Name: Bucket, Prefix, Contents: contents, CommonPrefixes: prefixes };
  if (sparse) for (const k of Object.keys(answer)) if (answer[k]?.length === 0) delete answer[k];
  return answer;
}

const integrations = {
  'arn:aws:states:::aws-sdk:s3:listObjectsV2': listObjectsV2,
  'arn:aws:states:::sns:publish': (args) => { out.mails.push(args); return { MessageId: '1' }; },
};

// state executes one, and returns its output and what comes next.
async function state(s, input) {
  const states = { input };
  try {
    let output = input, next = s.Next;
    switch (s.Type) {
      case 'Wait': out.waited += s.Seconds; break;
      case 'Succeed': break;
      case 'Choice':
        next = s.Default;
        for (const c of s.Choices) {
          const yes = await value(c.Condition, states);
          if (typeof yes !== 'boolean') throw new StateError('States.QueryEvaluationError', `${c.Condition} is ${yes}`);
          if (yes) { next = c.Next; break; }
        }
        break;
      case 'Map':
        output = [];
        for (const item of await value(s.Items, states)) output.push(await run(s.ItemProcessor, item));
        break;
      case 'Task': {
        const call = integrations[s.Resource];
        if (!call) throw new StateError('States.Runtime', `no such resource: ${s.Resource}`);
        output = call(await value(s.Arguments, states));
        break;
      }
      default: throw new StateError('States.Runtime', `no such state: ${s.Type}`);
    }
    if (s.Type === 'Task' || s.Type === 'Map') states.result = output;
    const assigned = await value(s.Assign ?? {}, states);
    if (s.Output !== undefined) output = await value(s.Output, states);
    Object.assign(variables, assigned);
    return [output, s.End || s.Type === 'Succeed' ? undefined : next];
  } catch (e) {
    if (!e.error || !s.Catch) throw e;
    return [e.error, s.Catch[0].Next];
  }
}

async function run(machine, input) {
  for (let name = machine.StartAt; name !== undefined;) {
    if (!machine.States[name]) throw new StateError('States.Runtime', `no state ${name}`);
    [input, name] = await state(machine.States[name], input);
  }
  return input;
}

try {
  await run(definition, input);
  out.status = 'SUCCEEDED';
} catch (e) {
  if (!e.error) throw e;
  out.error = e.error;
}
console.log(JSON.stringify(out));

// Executes a state machine in Amazon's States Language, as much of it as those
// of a template use: Wait, Choice, Map, Succeed and Task with listObjectsV2,
// describeAutoScalingGroups, updateAutoScalingGroup and sns:publish, Assign,
// Output and Catch, with the JSONata that Step Functions has. It never retries:
// what fails here fails for good.
//
// Standard input is {definition, input, starts, keys, fails, sparse, group}:
// starts are the seconds at which executions with that input begin, at 0 alone
// without any; they take turns, state by state, in the order of their clocks.
// keys are what is in the bucket, fails which request to it does (0 is none),
// sparse leaves out of answers what is empty. group is the Auto Scaling group
// over time, {name, distribution, states: [{at, desired, instances, denies}]}:
// denies lists the calls that fail from then on, applied those that do what
// they are asked and fail all the same. Standard output is
// {mails, lists, updates, waited, status, error}; waited is the longest.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const jsonata = createRequire(new URL('../.e2e/package.json', import.meta.url))('jsonata');

const { definition, input, starts = [0], keys, fails = 0, sparse = false, group } = JSON.parse(readFileSync(0, 'utf8'));
const out = { mails: [], lists: [], updates: [], waited: 0, status: 'SUCCEEDED' };

class StateError extends Error {
  constructor(name, cause) { super(cause); this.error = { Error: name, Cause: cause }; }
}

// value evaluates {% … %} wherever it stands.
async function value(template, states, variables) {
  if (typeof template === 'string' && template.startsWith('{%') && template.endsWith('%}')) {
    let v;
    try {
      // $parse is Step Functions' own: JSONata has no such function.
      const expression = jsonata(template.slice(2, -2));
      expression.registerFunction('parse', (s) => JSON.parse(s), '<s:x>');
      v = await expression.evaluate(undefined, { states, ...variables });
    } catch (e) {
      throw new StateError('States.QueryEvaluationError', `${template}: ${e.message}`);
    }
    if (v === undefined) throw new StateError('States.QueryEvaluationError', `${template} is nothing`);
    return JSON.parse(JSON.stringify(v));
  }
  if (Array.isArray(template)) return Promise.all(template.map((t) => value(t, states, variables)));
  if (template && typeof template === 'object') {
    const o = {};
    for (const [k, t] of Object.entries(template)) o[k] = await value(t, states, variables);
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
  for (const Key of keys.map((k) => k.split('@')[0]).sort()) {
    if (!Key.startsWith(Prefix) || Key <= StartAfter || contents.length + prefixes.length >= MaxKeys) continue;
    const end = Delimiter ? Key.indexOf(Delimiter, Prefix.length) : -1;
    if (end < 0) contents.push({ Key, Size: 1 });
    else if (prefixes.at(-1)?.Prefix !== Key.slice(0, end + 1)) prefixes.push({ Prefix: Key.slice(0, end + 1) });
  }
  const answer = { IsTruncated: false, KeyCount: contents.length + prefixes.length, Name: Bucket, Prefix, Contents: contents, CommonPrefixes: prefixes };
  if (sparse) for (const k of Object.keys(answer)) if (answer[k]?.length === 0) delete answer[k];
  return answer;
}

// getObject knows the objects that say whose a run is: the deployment's that
// stands behind the @, or that of the template.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
function getObject({ Bucket, Key, ...rest }) {
  if (Object.keys(rest).length) throw new StateError('States.Runtime', `unknown arguments ${Object.keys(rest)}`);
  out.lists.push({ Bucket, Prefix: Key });
  if (out.lists.length === fails) throw new StateError('S3.S3Exception', 'Access Denied');
  const found = keys.map((k) => k.split('@')).find(([key]) => key === Key);
  if (!found) throw new StateError('S3.NoSuchKeyException', 'The specified key does not exist.');
  return { Body: JSON.stringify({ format: 1, deployment: found[1] ?? 'everything' }), ContentLength: 1 };
}

// groupAt is the group at a time, and fails what it denies then.
function groupAt(now, call, name) {
  const g = { desired: 0, instances: 0, denies: [], applied: [], ...group.states.findLast((s) => s.at <= now) };
  if (g.denies.includes(call)) throw new StateError('AutoScaling.AutoScalingException', `not authorized to ${call} ${name}`);
  return g;
}

// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html
function describeAutoScalingGroups({ AutoScalingGroupNames, ...rest }, now) {
  if (Object.keys(rest).length) throw new StateError('States.Runtime', `unknown arguments ${Object.keys(rest)}`);
  const g = groupAt(now, 'describe', AutoScalingGroupNames[0]);
  const described = {
    AutoScalingGroupName: group.name, MinSize: 0, MaxSize: 1, DesiredCapacity: g.desired,
    Instances: Array.from({ length: g.instances }, (_, n) => ({ InstanceId: `i-${n}`, LifecycleState: 'InService' })),
    MixedInstancesPolicy: { InstancesDistribution: group.distribution, LaunchTemplate: { Overrides: [] } },
  };
  if (sparse && !g.instances) delete described.Instances;
  const there = !g.gone && AutoScalingGroupNames.length === 1 && AutoScalingGroupNames[0] === group.name;
  if (!there && sparse) return {};
  return { AutoScalingGroups: there ? [described] : [] };
}

// Of an update only the distribution is known, and all of it must be there.
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
function updateAutoScalingGroup({ AutoScalingGroupName, MixedInstancesPolicy, ...rest }, now) {
  const { InstancesDistribution, ...more } = MixedInstancesPolicy;
  const strange = [...Object.keys(rest), ...Object.keys(more)];
  if (strange.length || AutoScalingGroupName !== group.name) throw new StateError('States.Runtime', `unknown arguments ${strange}`);
  for (const k of Object.keys(group.distribution)) {
    if (InstancesDistribution[k] === undefined) throw new StateError('States.Runtime', `${k} is left to its default`);
  }
  const g = groupAt(now, 'update', AutoScalingGroupName);
  const percent = InstancesDistribution.OnDemandPercentageAboveBaseCapacity;
  out.updates.push({ at: now, percent, changes: percent !== group.distribution.OnDemandPercentageAboveBaseCapacity, instances: g.instances });
  group.distribution = InstancesDistribution;
  if (g.applied.includes('update')) throw new StateError('States.Timeout', 'no answer');
  return {};
}

const integrations = {
  'arn:aws:states:::aws-sdk:s3:getObject': getObject,
  'arn:aws:states:::aws-sdk:s3:listObjectsV2': listObjectsV2,
  'arn:aws:states:::aws-sdk:autoscaling:describeAutoScalingGroups': describeAutoScalingGroups,
  'arn:aws:states:::aws-sdk:autoscaling:updateAutoScalingGroup': updateAutoScalingGroup,
  'arn:aws:states:::sns:publish': (args, now) => {
    if (group) groupAt(now, 'publish', args.TopicArn);
    out.mails.push(args);
    return { MessageId: '1' };
  },
};

// state executes one, and returns its output and what comes next.
async function state(s, input, execution) {
  const states = { input };
  const the = (template, more) => value(template, { ...states, ...more }, execution.variables);
  try {
    let output = input, next = s.Next, assign = s.Assign;
    switch (s.Type) {
      case 'Wait': execution.now += s.Seconds; break;
      case 'Succeed': break;
      case 'Choice':
        next = s.Default;
        for (const c of s.Choices) {
          const yes = await the(c.Condition);
          if (typeof yes !== 'boolean') throw new StateError('States.QueryEvaluationError', `${c.Condition} is ${yes}`);
          if (yes) { next = c.Next; assign = c.Assign; break; }
        }
        break;
      case 'Map':
        output = [];
        for (const item of await the(s.Items)) output.push(await run(s.ItemProcessor, item, execution));
        break;
      case 'Task': {
        const call = integrations[s.Resource];
        if (!call) throw new StateError('States.Runtime', `no such resource: ${s.Resource}`);
        output = call(await the(s.Arguments), execution.now);
        break;
      }
      default: throw new StateError('States.Runtime', `no such state: ${s.Type}`);
    }
    if (s.Type === 'Task' || s.Type === 'Map') states.result = output;
    const assigned = await the(assign ?? {});
    if (s.Output !== undefined) output = await the(s.Output);
    Object.assign(execution.variables, assigned);
    return [output, s.End || s.Type === 'Succeed' ? undefined : next];
  } catch (e) {
    const caught = e.error && (s.Catch ?? []).find((c) => c.ErrorEquals.includes('States.ALL') || c.ErrorEquals.includes(e.error.Error));
    if (!caught) throw e;
    Object.assign(execution.variables, await the(caught.Assign ?? {}, { errorOutput: e.error }));
    return [caught.Output === undefined ? e.error : await the(caught.Output, { errorOutput: e.error }), caught.Next];
  }
}

// step executes the next state of a machine, which is at {name, input}.
async function step(machine, at, execution) {
  if (!machine.States[at.name]) throw new StateError('States.Runtime', `no state ${at.name}`);
  [at.input, at.name] = await state(machine.States[at.name], at.input, execution);
}

async function run(machine, input, execution) {
  const at = { name: machine.StartAt, input };
  while (at.name !== undefined) await step(machine, at, execution);
  return at.input;
}

const executions = starts.map((start) => ({ start, now: start, steps: 0, variables: {}, at: { name: definition.StartAt, input } }));
for (;;) {
  const next = executions.filter((e) => e.at.name !== undefined).sort((a, b) => a.now - b.now || a.steps - b.steps)[0];
  if (!next) break;
  next.steps++;
  try {
    await step(definition, next.at, next);
  } catch (e) {
    if (!e.error) throw e;
    out.status = 'FAILED';
    out.error = e.error;
    next.at.name = undefined;
  }
  out.waited = Math.max(out.waited, next.now - next.start);
}
console.log(JSON.stringify(out));

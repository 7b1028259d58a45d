/* An alert with every field set, for tests of what stores and carries alerts. The messages are the
 * caller's locals: alert_sample_fill ties them together. */
#pragma once

#include "nightjar/v1/alert.pb-c.h"

struct alert_sample {
	Nightjar__V1__Alert alert;
	Google__Protobuf__Timestamp time, start;
	Nightjar__V1__Attack attack;
	Nightjar__V1__Container container;
	Nightjar__V1__AlertProcess process, parent;
	Nightjar__V1__Remote remote;
	Nightjar__V1__Step step;
	Nightjar__V1__Step__FieldsEntry step_field;
	Nightjar__V1__Timing timing;
	Nightjar__V1__Alert__EvidenceEntry evidence;
	Nightjar__V1__Alert__FieldsEntry field;
	char *tags[1], *tactics[1], *techniques[1], *args[3];
	Nightjar__V1__Step *steps[1];
	Nightjar__V1__Step__FieldsEntry *step_fields[1];
	Nightjar__V1__AlertProcess *ancestors[1];
	Nightjar__V1__Alert__EvidenceEntry *evidences[1];
	Nightjar__V1__Alert__FieldsEntry *fields[1];
};

#define ALERT_SAMPLE_ID "01JDFGQ4M00000000000000001"

static inline char *sample_text(const char *text)
{
	return (char *)(uintptr_t)text; /* protobuf-c wants it writable; nobody writes */
}

static inline void alert_sample_process(Nightjar__V1__AlertProcess *p, const char *exec_id, const char *exe)
{
	nightjar__v1__alert_process__init(p);
	p->exec_id = sample_text(exec_id);
	p->exe = sample_text(exe);
	p->pid = 4242;
	p->cwd = sample_text("/srv");
	p->uid = 33;
	p->user = sample_text("www-data");
}

static inline void alert_sample_parts(struct alert_sample *s)
{
	google__protobuf__timestamp__init(&s->time);
	s->time.seconds = 1764016996;
	s->time.nanos = 123456789;
	google__protobuf__timestamp__init(&s->start);
	s->start.seconds = 1764016990;
	nightjar__v1__attack__init(&s->attack);
	s->tactics[0] = sample_text("TA0002");
	s->techniques[0] = sample_text("T1059.004");
	s->attack.n_tactics = s->attack.n_techniques = 1;
	s->attack.tactics = s->tactics;
	s->attack.techniques = s->techniques;
	nightjar__v1__container__init(&s->container);
	s->container.id = sample_text("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	s->container.name = sample_text("web");
	s->container.image = sample_text("nginx:1.27");
	nightjar__v1__remote__init(&s->remote);
	s->remote.ip = sample_text("192.0.2.7");
	s->remote.port = 4444;
	nightjar__v1__timing__init(&s->timing);
	s->timing.event_ns = 1764016996123456789;
	nightjar__v1__step__init(&s->step);
	nightjar__v1__step__fields_entry__init(&s->step_field);
	s->step_field.key = sample_text("fd.name");
	s->step_field.value = sample_text("10.0.0.5:51234->192.0.2.7:4444");
	s->step_fields[0] = &s->step_field;
	s->step.time = &s->time;
	s->step.event = sample_text("exec");
	s->step.exec_id = sample_text("00000000deadbeef");
	s->step.summary = sample_text("bash started with its input and output on a socket");
	s->step.n_fields = 1;
	s->step.fields = s->step_fields;
	s->steps[0] = &s->step;
}

static inline void alert_sample_tree(struct alert_sample *s)
{
	alert_sample_process(&s->process, "00000000deadbeef", "/usr/bin/bash");
	alert_sample_process(&s->parent, "00000000cafebabe", "/usr/sbin/nginx");
	s->args[0] = sample_text("bash");
	s->args[1] = sample_text("-c");
	s->args[2] = sample_text("echo \"quoted\" \\ tab\t caf\xc3\xa9");
	s->process.n_args = 3;
	s->process.args = s->args;
	s->process.start_time = &s->start;
	s->process.parent = &s->parent;
	s->ancestors[0] = &s->parent;
	s->process.n_ancestors = 1;
	s->process.ancestors = s->ancestors;
	nightjar__v1__alert__evidence_entry__init(&s->evidence);
	s->evidence.key = sample_text("input");
	s->evidence.value = sample_text("tcp 192.0.2.7:4444");
	s->evidences[0] = &s->evidence;
	nightjar__v1__alert__fields_entry__init(&s->field);
	s->field.key = sample_text("proc.name");
	s->field.value = sample_text("bash");
	s->fields[0] = &s->field;
	s->tags[0] = sample_text("shell");
}

static inline void alert_sample_fill(struct alert_sample *s)
{
	Nightjar__V1__Alert *a = &s->alert;

	alert_sample_parts(s);
	alert_sample_tree(s);
	nightjar__v1__alert__init(a);
	a->schema = sample_text("1");
	a->id = sample_text(ALERT_SAMPLE_ID);
	a->op = sample_text("create");
	a->time = &s->time;
	a->kind = sample_text("chain");
	a->rule = sample_text("reverse_shell");
	a->title = sample_text("Reverse shell");
	a->output = sample_text("bash takes its commands from 192.0.2.7:4444");
	a->severity = sample_text("critical");
	a->score = 0.95;
	a->n_tags = 1;
	a->tags = s->tags;
	a->attack = &s->attack;
	a->cluster = sample_text("prod");
	a->node = sample_text("node-1");
	a->namespace_ = sample_text("shop");
	a->workload = sample_text("web");
	a->pod = sample_text("web-5d9c-x2x");
	a->container = &s->container;
	a->process = &s->process;
	a->remote = &s->remote;
	a->n_steps = 1;
	a->steps = s->steps;
	a->incident = sample_text("01JDFGQ4M0INC");
	a->count = 1;
	a->timing = &s->timing;
	a->n_evidence = 1;
	a->evidence = s->evidences;
	a->n_fields = 1;
	a->fields = s->fields;
}

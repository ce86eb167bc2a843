/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* Talks to daemons over connections that live for one question and its answer.
   Never fails as a whole: what goes wrong stands in the reply. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "eacces-error.h"
#include "fd-util.h"
#include "istream.h"
#include "net.h"
#include "str.h"
#include "antispam-runner.h"
#include "runner-peer.h"
#include "runner-program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections side by side: daemons have few workers. */
#define SLOTS_MAX 64
/* Bytes to send, and to read, per stream and wake-up. */
#define FEED_MAX (128 * 1024)
#define READ_MAX (32 * 1024)
/* A unix socket whose queue is full refuses at once: how long to wait. */
#define AGAIN_USECS (10 * 1000)

enum stage {
	/* The slot is free. */
	STAGE_NONE = 0,
	/* Until it is time to try to connect again. */
	STAGE_WAITS,
	STAGE_CONNECTS,
	/* It may answer before all is sent. */
	STAGE_SENDS,
	STAGE_READS,
};

struct slot {
	const struct antispam_exchange *exchange;
	struct antispam_exchange_reply *reply;
	enum stage stage;
	/* The caller's, for poll(). */
	struct pollfd *pollfd;
	/* Monotonic, in microseconds. try_until: of the connection to this
	   address, or the end of STAGE_WAITS. */
	int64_t started, deadline, try_until;
	/* Which address, and how many were tried. */
	unsigned int addr, tried;
	/* What is sent, and what is left to send. */
	const char *head;
	uoff_t left;
	/* The daemon wants no more. */
	bool unwanted;
	string_t *answer;
};

struct runner {
	const struct antispam_peer *peer;
	struct antispam_peer_addrs addrs;
	/* The address that accepted a connection last. */
	unsigned int addr;
	const char *lookup_error;

	const struct antispam_exchange *exchanges;
	struct antispam_exchange_reply *replies;
	unsigned int count, next;
	bool stop_on_failure, failed;

	unsigned int slots_count, running;
	struct slot slots[SLOTS_MAX];
	struct pollfd pollfds[SLOTS_MAX];
};

/* Fill the reply and free the slot. An error, if any, is on the data stack. */
static void
slot_end(struct runner *runner, struct slot *slot, const char *error)
{
	const struct antispam_exchange *exchange = slot->exchange;
	struct antispam_exchange_reply *reply = slot->reply;
	bool failed;

	reply->end = error == NULL ? ANTISPAM_EXCHANGE_ANSWERED :
				     ANTISPAM_EXCHANGE_FAILED;
	reply->error = error;
	if (error == NULL)
		reply->text = t_strdup(str_c(slot->answer));
	reply->duration_msecs =
		(antispam_program_clock() - slot->started) / 1000;
	str_free(&slot->answer);
	i_close_fd(&slot->pollfd->fd);
	slot->stage = STAGE_NONE;
	runner->running--;

	if (exchange->is_failure != NULL)
		failed = exchange->is_failure(reply, exchange->context);
	else
		failed = error != NULL;
	if (failed)
		runner->failed = TRUE;
}

static const char *connect_error(const struct runner *runner, unsigned int addr)
{
	const struct antispam_peer *peer = runner->peer;

	if (peer->path == NULL) {
		return t_strdup_printf(
			"connect(%s) failed: %m",
			antispam_peer_addr_name(&runner->addrs.addrs[addr]));
	}
	if (errno == EACCES)
		return eacces_error_get("connect", peer->path);
	return t_strdup_printf("connect(%s) failed: %m", peer->path);
}

static void slot_connect(struct runner *runner, struct slot *slot);

/* errno says why this address failed. */
static void slot_next_address(struct runner *runner, struct slot *slot)
{
	const char *error = connect_error(runner, slot->addr);

	i_close_fd(&slot->pollfd->fd);
	if (++slot->tried == runner->addrs.count) {
		slot_end(runner, slot, error);
		return;
	}
	slot->addr = (slot->addr + 1) % runner->addrs.count;
	slot_connect(runner, slot);
}

static void slot_connected(struct runner *runner, struct slot *slot)
{
	int one = 1;

	runner->addr = slot->addr;
	/* the last piece must not wait for an answer to the one before */
	if (runner->peer->path == NULL) {
		(void)setsockopt(slot->pollfd->fd, IPPROTO_TCP, TCP_NODELAY,
				 &one, sizeof(one));
	}
	slot->stage = STAGE_SENDS;
	slot->pollfd->events = POLLIN | POLLOUT;
}

static void slot_connect(struct runner *runner, struct slot *slot)
{
	const struct antispam_peer_addr *addr =
		&runner->addrs.addrs[slot->addr];
	int64_t now = antispam_program_clock();
	int64_t untried;
	int *fd = &slot->pollfd->fd;

	/* an address that is silent leaves time for the others */
	untried = runner->addrs.count - slot->tried;
	slot->try_until = now + (slot->deadline - now) / untried;
	*fd = socket(addr->any.sa_family,
		     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd != -1 && connect(*fd, &addr->any, addr->size) == 0) {
		slot_connected(runner, slot);
	} else if (*fd != -1 && errno == EINPROGRESS) {
		slot->stage = STAGE_CONNECTS;
		slot->pollfd->events = POLLOUT;
	} else if (*fd != -1 && errno == EAGAIN) {
		i_close_fd(fd);
		slot->stage = STAGE_WAITS;
		slot->try_until = now + AGAIN_USECS;
	} else {
		slot_next_address(runner, slot);
	}
}

static void slot_start(struct runner *runner, struct slot *slot,
		       unsigned int idx)
{
	const struct antispam_exchange *exchange = &runner->exchanges[idx];

	slot->exchange = exchange;
	slot->reply = &runner->replies[idx];
	slot->started = antispam_program_clock();
	slot->deadline = slot->started + (int64_t)exchange->timeout_msecs * 1000;
	slot->addr = runner->addr;
	slot->tried = 0;
	slot->head = exchange->head;
	slot->left = exchange->input_size;
	slot->unwanted = FALSE;
	slot->answer = str_new(default_pool, 256);
	runner->running++;
	i_stream_seek(exchange->input, 0);
	if (runner->lookup_error != NULL)
		slot_end(runner, slot, runner->lookup_error);
	else
		slot_connect(runner, slot);
}

/* Returns the bytes that were sent; 0 if no more can be sent now. */
static size_t
slot_send(struct slot *slot, const void *data, size_t size, bool more)
{
	ssize_t ret = send(slot->pollfd->fd, data, size,
			   MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	if (ret >= 0)
		return ret;
	/* it may have said why */
	if (errno != EAGAIN && errno != EINTR)
		slot->unwanted = TRUE;
	return 0;
}

static void slot_sent(struct slot *slot)
{
	if (slot->exchange->half_close && !slot->unwanted)
		(void)shutdown(slot->pollfd->fd, SHUT_WR);
	slot->stage = STAGE_READS;
	slot->pollfd->events = POLLIN;
}

/* Send a piece of the input. Returns 1; 0 if there is no more to do now; -1
   and *error_r if it can't be read. */
static int
slot_feed_input(struct slot *slot, size_t *total, const char **error_r)
{
	struct istream *input = slot->exchange->input;
	const unsigned char *data;
	size_t size, sent;

	if (i_stream_read_more(input, &data, &size) <= 0) {
		slot->reply->input_failed = TRUE;
		*error_r = input->stream_errno != 0 ?
			t_strdup_printf("can't read the message: %s",
					i_stream_get_error(input)) :
			"the message is shorter than it was";
		return -1;
	}
	size = I_MIN(size, slot->left);
	sent = slot_send(slot, data, size, size < slot->left);
	i_stream_skip(input, sent);
	slot->left -= sent;
	*total += sent;
	return sent > 0 && *total < FEED_MAX ? 1 : 0;
}

static int slot_feed(struct slot *slot, const char **error_r)
{
	size_t total = 0;
	int ret = 1;

	while (*slot->head != '\0') {
		const size_t sent = slot_send(slot, slot->head,
					      strlen(slot->head),
					      slot->left > 0);
		if (sent == 0)
			break;
		slot->head += sent;
	}
	if (*slot->head == '\0') {
		while (ret > 0 && slot->left > 0)
			ret = slot_feed_input(slot, &total, error_r);
		if (ret < 0)
			return -1;
	}
	if ((*slot->head == '\0' && slot->left == 0) || slot->unwanted)
		slot_sent(slot);
	return 0;
}

/* Read what is there, without waiting. Returns 1 if the answer is at its end,
   0 if not, -1 and *error_r if there will be none. */
static int slot_read(struct slot *slot, const char **error_r)
{
	const struct antispam_exchange *exchange = slot->exchange;
	unsigned char chunk[READ_MAX];
	ssize_t i, ret;

	ret = recv(slot->pollfd->fd, chunk,
		   I_MIN(sizeof(chunk),
			 exchange->max_reply - str_len(slot->answer)),
		   0);
	if (ret < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (ret < 0 && str_len(slot->answer) == 0) {
		*error_r = t_strdup_printf(
			slot->unwanted || slot->stage == STAGE_SENDS ?
				"the connection broke while the message was "
				"sent: %m" :
				"the connection broke before an answer came: "
				"%m");
		return -1;
	}
	if (ret <= 0)
		return 1;
	for (i = 0; i < ret; i++) {
		if (chunk[i] == '\0')
			chunk[i] = '?';
	}
	str_append_data(slot->answer, chunk, ret);
	if (str_len(slot->answer) >= exchange->max_reply)
		return 1;
	return exchange->is_whole != NULL &&
			exchange->is_whole(str_c(slot->answer)) ?
		1 :
		0;
}

static const char *slot_timeout_error(const struct slot *slot)
{
	const unsigned int msecs = slot->exchange->timeout_msecs;
	const char *doing = "while it waited for the answer";

	if (slot->stage == STAGE_WAITS || slot->stage == STAGE_CONNECTS)
		doing = "while it connected";
	else if (slot->stage == STAGE_SENDS)
		doing = "while it sent the message";
	return msecs % 1000 == 0 ?
		t_strdup_printf("timed out after %u s, %s", msecs / 1000,
				doing) :
		t_strdup_printf("timed out after %u ms, %s", msecs, doing);
}

static void slot_check_connect(struct runner *runner, struct slot *slot)
{
	int error = net_geterror(slot->pollfd->fd);

	if (error == 0) {
		slot_connected(runner, slot);
	} else {
		errno = error;
		slot_next_address(runner, slot);
	}
}

static void slot_transfer(struct runner *runner, struct slot *slot, int revents)
{
	const char *error = NULL;
	int ret = 0;

	if (slot->stage == STAGE_SENDS && (revents & POLLOUT) != 0)
		ret = slot_feed(slot, &error);
	if (ret == 0 && (revents & (POLLIN | POLLHUP | POLLERR)) != 0)
		ret = slot_read(slot, &error);
	if (ret != 0)
		slot_end(runner, slot, ret < 0 ? error : NULL);
}

/* Do what is possible by revents and what is due, without waiting. */
static void slot_continue(struct runner *runner, struct slot *slot, int64_t now)
{
	const int revents = slot->pollfd->revents;

	slot->pollfd->revents = 0;
	if (now >= slot->deadline) {
		slot_end(runner, slot, slot_timeout_error(slot));
	} else if (slot->stage == STAGE_WAITS && now >= slot->try_until) {
		slot_connect(runner, slot);
	} else if (slot->stage == STAGE_CONNECTS && revents != 0) {
		slot_check_connect(runner, slot);
	} else if (slot->stage == STAGE_CONNECTS && now >= slot->try_until) {
		errno = ETIMEDOUT;
		slot_next_address(runner, slot);
	} else if (revents != 0) {
		slot_transfer(runner, slot, revents);
	}
}

/* Start exchanges as long as one may be started. */
static void runner_fill(struct runner *runner)
{
	struct slot *slot = runner->slots;

	while (runner->next < runner->count &&
	       runner->running < runner->slots_count &&
	       !(runner->failed && runner->stop_on_failure)) {
		while (slot->stage != STAGE_NONE)
			slot++;
		slot_start(runner, slot, runner->next++);
	}
}

static int runner_poll_msecs(const struct runner *runner, int64_t now)
{
	const struct slot *slot = runner->slots;
	int64_t until = INT64_MAX;
	unsigned int i;

	for (i = 0; i < runner->slots_count; i++, slot++) {
		if (slot->stage == STAGE_NONE)
			continue;
		until = I_MIN(until, slot->deadline);
		if (slot->stage == STAGE_WAITS || slot->stage == STAGE_CONNECTS)
			until = I_MIN(until, slot->try_until);
	}
	if (until <= now)
		return 0;
	return I_MIN((until - now + 999) / 1000, INT_MAX);
}

/* Wait until something can be done, and do it. */
static void runner_wait(struct runner *runner)
{
	struct slot *slot = runner->slots;
	unsigned int i;
	int msecs = runner_poll_msecs(runner, antispam_program_clock());
	int64_t now;

	if (poll(runner->pollfds, runner->slots_count, msecs) < 0) {
		/* a signal: nothing is known, but deadlines count */
		for (i = 0; i < runner->slots_count; i++)
			runner->pollfds[i].revents = 0;
	}
	now = antispam_program_clock();
	for (i = 0; i < runner->slots_count; i++, slot++) {
		if (slot->stage != STAGE_NONE)
			slot_continue(runner, slot, now);
	}
}

void antispam_exchange_many(const struct antispam_peer *peer,
			    const struct antispam_exchange *exchanges,
			    unsigned int count, unsigned int max_parallel,
			    bool stop_on_failure,
			    struct antispam_exchange_reply *replies_r)
{
	struct runner runner;
	unsigned int i;

	i_zero(&runner);
	runner.peer = peer;
	runner.exchanges = exchanges;
	runner.replies = replies_r;
	runner.count = count;
	runner.stop_on_failure = stop_on_failure;
	runner.slots_count = I_MIN(I_MAX(max_parallel, 1), SLOTS_MAX);
	runner.slots_count = I_MIN(runner.slots_count, count);
	for (i = 0; i < runner.slots_count; i++) {
		runner.slots[i].pollfd = &runner.pollfds[i];
		runner.pollfds[i].fd = -1;
	}
	for (i = 0; i < count; i++)
		i_zero(&replies_r[i]);
	if (antispam_peer_lookup(peer, &runner.addrs,
				 &runner.lookup_error) == 0)
		runner.lookup_error = NULL;

	runner_fill(&runner);
	while (runner.running > 0) {
		runner_wait(&runner);
		runner_fill(&runner);
	}
}

/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* The runner's connections, with fake daemons of all kinds. */

#define _GNU_SOURCE 1
#include "lib.h"
#include "ioloop.h"
#include "time-util.h"
#include "test-daemon.h"
#include "test-runner.h"

#include <dlfcn.h>
#include <netdb.h>

#define HEAD "HELLO\r\nContent-length: 5\r\n\r\n"
#define BODY "a\0b\r\n"
#define BODY_SIZE 5
/* Far more than any socket buffers. */
#define BIG (16 * MB)

static struct antispam_peer peer_of(const struct daemon *daemon)
{
	struct antispam_peer peer;
	const char *error, *value;

	value = t_strdup_printf("localhost:%u", daemon->port);
	if (daemon->port == 0)
		value = daemon_socket(daemon);
	if (antispam_peer_parse(pool_datastack_create(), value, &peer,
				&error) < 0)
		i_fatal("%s: %s", value, error);
	return peer;
}

static struct antispam_exchange
exchange_of(struct istream *input, uoff_t size)
{
	const struct antispam_exchange exchange = {
		.head = size == BODY_SIZE ?
			HEAD :
			t_strdup_printf("HELLO\r\nContent-length: %llu\r\n\r\n",
					(unsigned long long)size),
		.input = input,
		.input_size = size,
		.half_close = TRUE,
		.timeout_msecs = RUN_TIMEOUT_MSECS,
		.max_reply = 1024,
	};
	return exchange;
}

static struct istream *body_stream(void)
{
	return i_stream_create_from_data(BODY, BODY_SIZE);
}

/* One exchange that leaves no descriptor behind. */
static struct antispam_exchange_reply
have_exchange(const struct antispam_peer *peer,
	      const struct antispam_exchange *exchange)
{
	const unsigned int fds = count_fds();
	struct antispam_exchange_reply reply;

	memset(&reply, 0x55, sizeof(reply));
	antispam_exchange_many(peer, exchange, 1, 1, TRUE, &reply);
	test_assert(count_fds() == fds);
	return reply;
}

static void
check_failed(const struct antispam_exchange_reply *reply, const char *error)
{
	test_assert(reply->end == ANTISPAM_EXCHANGE_FAILED);
	if (reply->error == NULL || strstr(reply->error, error) == NULL) {
		i_info("error: %s", reply->error == NULL ? "-" : reply->error);
		test_assert(FALSE);
	}
}

static void
check_answer(const struct antispam_exchange_reply *reply, const char *text)
{
	test_assert(reply->end == ANTISPAM_EXCHANGE_ANSWERED);
	test_assert(reply->error == NULL);
	test_assert_strcmp(reply->text, text);
}

static void test_answer(void)
{
	const struct daemon_script script = { DAEMON_ANSWERS, "all right\r\n" };
	struct antispam_exchange_reply reply;
	struct antispam_exchange exchange;
	struct antispam_peer peer;
	struct daemon daemon;
	struct istream *input = body_stream();
	int tcp;

	test_begin("a question and its answer, by unix socket and TCP");
	for (tcp = 0; tcp <= 1; tcp++) {
		daemon = daemon_fork(tcp == 1, &script, 1);
		peer = peer_of(&daemon);
		exchange = exchange_of(input, BODY_SIZE);
		reply = have_exchange(&peer, &exchange);
		check_answer(&reply, "all right\r\n");
		test_assert_strcmp(daemon_question(&daemon, 0),
				   HEAD "a|b\r\n");
		/* no ioloop was needed */
		test_assert(current_ioloop == NULL);

		/* part of the input, whatever was read of it before */
		i_stream_skip(input, 3);
		exchange.input_size = 2;
		exchange.head = "HELLO\r\nContent-length: 2\r\n\r\n";
		reply = have_exchange(&peer, &exchange);
		check_answer(&reply, "all right\r\n");
		test_assert_strcmp(daemon_question(&daemon, 1),
				   "HELLO\r\nContent-length: 2\r\n\r\na|");
		daemon_stop(&daemon);
	}
	i_stream_unref(&input);
	test_end();
}

/* Data of which nothing is in memory but the pieces that are read. */
static struct istream *big_stream(const unsigned char *data)
{
	const char *path = work_path("big");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd == -1 || write_full(fd, data, BIG) < 0 || unlink(path) < 0)
		i_fatal("can't write %s: %m", path);
	return i_stream_create_fd_autoclose(&fd, 8192);
}

static void test_big(void)
{
	const struct daemon_script script = { DAEMON_ANSWERS, "got it" };
	unsigned char *data = make_data(BIG), *read_data;
	struct istream *input = big_stream(data);
	struct antispam_exchange_reply reply;
	struct antispam_exchange exchange = exchange_of(input, BIG);
	struct antispam_peer peer;
	struct daemon daemon;
	size_t size, head_size = strlen(exchange.head);
	int tcp;

	test_begin("a big message arrives byte for byte");
	for (tcp = 0; tcp <= 1; tcp++) {
		daemon = daemon_fork(tcp == 1, &script, 1);
		peer = peer_of(&daemon);
		reply = have_exchange(&peer, &exchange);
		check_answer(&reply, "got it");
		read_data = read_file(daemon_file(&daemon, 0), &size);
		test_assert(size == head_size + BIG);
		test_assert(memcmp(read_data + head_size, data, BIG) == 0);
		i_free(read_data);
		daemon_stop(&daemon);
	}
	i_stream_unref(&input);
	i_free(data);
	test_end();
}

static bool is_whole(const char *text)
{
	return strchr(text, '.') != NULL;
}

static void test_end_of_answer(void)
{
	static const struct {
		enum daemon_does does;
		const char *answer;
		size_t max_reply;
		const char *text;
	} tests[] = {
		/* nothing but the close */
		{ DAEMON_ANSWERS, "", 1024, "" },
		{ DAEMON_ANSWERS, "cut", 1024, "cut" },
		{ DAEMON_ANSWERS, "whole.", 1024, "whole." },
		/* does not close */
		{ DAEMON_STAYS, "whole.", 1024, "whole." },
		{ DAEMON_STAYS, "long answer", 4, "long" },
		{ DAEMON_TRICKLES, "whole.", 1024, "whole." },
		{ DAEMON_SLOW, "whole.", 1024, "whole." },
		{ DAEMON_FLOODS, "100 MB: ", 10, "100 MB: xx" },
	};
	struct istream *input = body_stream();
	struct antispam_exchange_reply reply;
	struct antispam_exchange exchange;
	struct antispam_peer peer;
	struct daemon daemon;
	unsigned int i;

	test_begin("where an answer ends");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		daemon = daemon_start(tests[i].does, tests[i].answer);
		peer = peer_of(&daemon);
		exchange = exchange_of(input, BODY_SIZE);
		exchange.max_reply = tests[i].max_reply;
		exchange.is_whole = is_whole;
		reply = have_exchange(&peer, &exchange);
		check_answer(&reply, tests[i].text);
		daemon_stop(&daemon);
	}
	i_stream_unref(&input);
	test_end();
}

/* A daemon that answers before it has read all: its answer counts. */
static void test_early(void)
{
	unsigned char *data = make_data(BIG);
	struct istream *input = i_stream_create_from_data(data, BIG);
	struct antispam_exchange exchange = exchange_of(input, BIG);
	struct antispam_exchange_reply reply;
	struct antispam_peer peer;
	struct daemon daemon;
	sigset_t set;

	test_begin("an answer before the message was read, and none");
	/* SIGPIPE would end us */
	(void)signal(SIGPIPE, SIG_DFL);
	daemon = daemon_start(DAEMON_EARLY, "no, thanks");
	peer = peer_of(&daemon);
	reply = have_exchange(&peer, &exchange);
	check_answer(&reply, "no, thanks");
	daemon_stop(&daemon);

	daemon = daemon_start(DAEMON_CLOSES, NULL);
	peer = peer_of(&daemon);
	reply = have_exchange(&peer, &exchange);
	if (reply.end == ANTISPAM_EXCHANGE_ANSWERED)
		check_answer(&reply, "");
	else
		check_failed(&reply, "the connection broke while");
	daemon_stop(&daemon);
	test_assert(sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 0);
	i_stream_unref(&input);
	i_free(data);
	test_end();
}

static void test_deadline(void)
{
	static const struct {
		enum daemon_does does;
		const char *answer;
		bool big;
		const char *error;
	} tests[] = {
		{ DAEMON_SILENT, NULL, FALSE,
		  "timed out after 300 ms, while it waited for the answer" },
		{ DAEMON_DEAF, NULL, FALSE,
		  "timed out after 300 ms, while it waited for the answer" },
		{ DAEMON_DEAF, NULL, TRUE,
		  "timed out after 300 ms, while it sent the message" },
		{ DAEMON_TRICKLES, "a byte now and then moves no deadline", FALSE,
		  "timed out after 300 ms, while it waited for the answer" },
	};
	unsigned char *data = make_data(BIG);
	struct istream *big = i_stream_create_from_data(data, BIG);
	struct istream *small = body_stream();
	struct antispam_exchange_reply reply;
	struct antispam_exchange exchange;
	struct antispam_peer peer;
	struct daemon daemon;
	unsigned int i;

	test_begin("one deadline for all of it");
	for (i = 0; i < N_ELEMENTS(tests); i++) {
		daemon = daemon_start(tests[i].does, tests[i].answer);
		peer = peer_of(&daemon);
		exchange = tests[i].big ? exchange_of(big, BIG) :
					  exchange_of(small, BODY_SIZE);
		exchange.timeout_msecs = 300;
		reply = have_exchange(&peer, &exchange);
		check_failed(&reply, tests[i].error);
		test_assert_idx(reply.duration_msecs >= 300, i);
		test_assert_idx(reply.duration_msecs < 3000, i);
		daemon_stop(&daemon);
	}
	i_stream_unref(&big);
	i_stream_unref(&small);
	i_free(data);
	test_end();
}

/* A unix socket whose queue is full refuses at once; it may get room. */
static void test_full_queue(void)
{
	struct istream *input = body_stream();
	struct antispam_exchange exchange = exchange_of(input, BODY_SIZE);
	struct antispam_exchange_reply reply;
	struct antispam_peer peer;
	struct daemon daemon;
	int fds[3], fd;
	unsigned int i;

	test_begin("a queue that is full");
	i_zero(&daemon);
	daemon.dir = i_strdup(work_dir);
	fd = daemon_listen_unix(daemon_socket(&daemon), 0);
	peer = peer_of(&daemon);
	for (i = 0; i < N_ELEMENTS(fds); i++)
		fds[i] = net_connect_unix(peer.path);
	exchange.timeout_msecs = 200;
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "timed out after 200 ms, while it connected");
	for (i = 0; i < N_ELEMENTS(fds); i++) {
		if (fds[i] != -1)
			net_disconnect(fds[i]);
	}
	i_close_fd(&fd);

	/* nobody listens any more */
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "/socket) failed: Connection refused");
	i_unlink(peer.path);
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "/socket) failed: No such file or directory");
	i_free(daemon.dir);
	i_stream_unref(&input);
	test_end();
}

static void test_no_daemon(void)
{
	struct istream *input = body_stream();
	struct antispam_exchange exchange = exchange_of(input, BODY_SIZE);
	struct antispam_exchange_reply reply;
	struct antispam_peer peer;
	const char *error, *value;
	struct ip_addr ip;
	in_port_t port = 0;
	int fd;

	test_begin("no daemon by TCP");
	if (net_addr2ip("127.0.0.1", &ip) < 0)
		i_unreached();
	fd = net_listen(&ip, &port, 1);
	i_close_fd(&fd);
	value = t_strdup_printf("127.0.0.1:%u", port);
	test_assert(antispam_peer_parse(pool_datastack_create(), value, &peer,
					&error) == 0);
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, t_strdup_printf("connect(%s) failed: Connection refused", value));
	test_assert(antispam_peer_parse(pool_datastack_create(),
					"nosuchhost.invalid:783", &peer,
					&error) == 0);
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "the host nosuchhost.invalid was not found: ");
	i_stream_unref(&input);
	test_end();
}

/* In the place of libc's: "two.example" has two addresses, at the first of
   which nobody listens. */
static unsigned int lookups;
int getaddrinfo(const char *host, const char *port,
		const struct addrinfo *hints, struct addrinfo **list_r)
{
	typedef int lookup_t(const char *, const char *,
			     const struct addrinfo *, struct addrinfo **);
	lookup_t *lookup = (lookup_t *)dlsym(RTLD_NEXT, "getaddrinfo");
	int ret;

	lookups++;
	if (strcmp(host, "two.example") != 0)
		return lookup(host, port, hints, list_r);
	ret = lookup("127.0.0.2", port, hints, list_r);
	if (ret == 0)
		ret = lookup("127.0.0.1", port, hints, &(*list_r)->ai_next);
	return ret;
}

static void test_addresses(void)
{
	const struct daemon_script script = { DAEMON_ANSWERS, "here" };
	struct daemon daemon = daemon_fork(TRUE, &script, 1);
	struct antispam_exchange exchanges[3];
	struct antispam_exchange_reply replies[3];
	struct istream *input[3];
	struct antispam_peer peer;
	const char *error;
	unsigned int i;

	test_begin("several addresses; one lookup");
	test_assert(antispam_peer_parse(
			    pool_datastack_create(),
			    t_strdup_printf("two.example:%u", daemon.port),
			    &peer, &error) == 0);
	for (i = 0; i < N_ELEMENTS(exchanges); i++) {
		input[i] = body_stream();
		exchanges[i] = exchange_of(input[i], BODY_SIZE);
	}
	lookups = 0;
	antispam_exchange_many(&peer, exchanges, N_ELEMENTS(exchanges), 1,
			       TRUE, replies);
	for (i = 0; i < N_ELEMENTS(replies); i++)
		check_answer(&replies[i], "here");
	test_assert(lookups == 1);
	daemon_kill(&daemon);
	replies[0] = have_exchange(&peer, &exchanges[0]);
	check_failed(&replies[0],
		     t_strdup_printf("connect(127.0.0.1:%u) failed: Connection "
				     "refused",
				     daemon.port));
	daemon_stop(&daemon);
	for (i = 0; i < N_ELEMENTS(input); i++)
		i_stream_unref(&input[i]);
	test_end();
}

static void test_bad_input(void)
{
	struct istream *input;
	struct antispam_exchange exchange;
	struct antispam_exchange_reply reply;
	struct antispam_peer peer;
	struct daemon daemon;

	test_begin("a message that can't be read, or is too short");
	daemon = daemon_start(DAEMON_ANSWERS, "taken");
	peer = peer_of(&daemon);
	input = i_stream_create_error_str(EIO, "the disk is gone");
	exchange = exchange_of(input, BODY_SIZE);
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "can't read the message: the disk is gone");
	test_assert(reply.input_failed);
	i_stream_unref(&input);

	input = body_stream();
	exchange = exchange_of(input, BODY_SIZE + 1);
	reply = have_exchange(&peer, &exchange);
	check_failed(&reply, "the message is shorter than it was");
	test_assert(reply.input_failed);
	i_stream_unref(&input);
	daemon_stop(&daemon);
	test_end();
}

static bool fails_on_no(const struct antispam_exchange_reply *reply,
			void *context)
{
	unsigned int *ends = context;

	++*ends;
	return reply->end != ANTISPAM_EXCHANGE_ANSWERED ||
		strcmp(reply->text, "no") == 0;
}

static void test_batch(void)
{
	static const struct daemon_script scripts[] = {
		{ DAEMON_ANSWERS, "yes" },
		{ DAEMON_ANSWERS, "no" },
		{ DAEMON_ANSWERS, "yes" },
	};
	struct antispam_exchange exchanges[8];
	struct antispam_exchange_reply replies[8];
	struct istream *input[8];
	struct antispam_peer peer;
	struct daemon daemon;
	unsigned int i, ends = 0;

	test_begin("several exchanges");
	for (i = 0; i < N_ELEMENTS(exchanges); i++) {
		input[i] = body_stream();
		exchanges[i] = exchange_of(input[i], BODY_SIZE);
		exchanges[i].is_failure = fails_on_no;
		exchanges[i].context = &ends;
	}
	daemon = daemon_fork(FALSE, scripts, N_ELEMENTS(scripts));
	peer = peer_of(&daemon);
	antispam_exchange_many(&peer, exchanges, N_ELEMENTS(exchanges), 1,
			       TRUE, replies);
	test_assert(ends == 2);
	test_assert(daemon_calls(&daemon) == 2);
	check_answer(&replies[0], "yes");
	check_answer(&replies[1], "no");
	for (i = 2; i < N_ELEMENTS(replies); i++)
		test_assert(replies[i].end == ANTISPAM_EXCHANGE_SKIPPED);
	daemon_stop(&daemon);

	daemon = daemon_fork(FALSE, scripts, N_ELEMENTS(scripts));
	peer = peer_of(&daemon);
	antispam_exchange_many(&peer, exchanges, N_ELEMENTS(exchanges), 1,
			       FALSE, replies);
	test_assert(ends == 10);
	test_assert(daemon_calls(&daemon) == 8);
	check_answer(&replies[7], "yes");
	daemon_stop(&daemon);

	for (i = 0; i < N_ELEMENTS(input); i++)
		i_stream_unref(&input[i]);
	test_end();
}

static void test_parallel(void)
{
	struct antispam_exchange exchanges[8];
	struct antispam_exchange_reply replies[8];
	struct istream *input[8];
	struct antispam_peer peer;
	struct daemon daemon;
	unsigned int i, longest = 0;
	uint64_t start;

	test_begin("exchanges side by side");
	for (i = 0; i < N_ELEMENTS(exchanges); i++) {
		input[i] = body_stream();
		exchanges[i] = exchange_of(input[i], BODY_SIZE);
	}
	daemon = daemon_start(DAEMON_SLOW, "slow");
	peer = peer_of(&daemon);
	start = i_microseconds();
	antispam_exchange_many(&peer, exchanges, N_ELEMENTS(exchanges), 4,
			       FALSE, replies);
	/* one after the other, it would be the sum */
	for (i = 0; i < N_ELEMENTS(replies); i++) {
		check_answer(&replies[i], "slow");
		test_assert_idx(replies[i].duration_msecs >= 100, i);
		longest += replies[i].duration_msecs;
	}
	test_assert((i_microseconds() - start) / 1000 < longest * 3 / 4);
	daemon_stop(&daemon);
	for (i = 0; i < N_ELEMENTS(input); i++)
		i_stream_unref(&input[i]);
	test_end();
}

int main(void)
{
	static void (*const tests[])(void) = {
		test_dir_init,
		test_answer,
		test_big,
		test_end_of_answer,
		test_early,
		test_deadline,
		test_full_queue,
		test_no_daemon,
		test_addresses,
		test_bad_input,
		test_batch,
		test_parallel,
		test_dir_deinit,
		NULL
	};

	return test_run(tests);
}

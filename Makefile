LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
KEY ?= data/jwt.key

.DEFAULT_GOAL := help
.PHONY: help run web screenshots test conformance fuzz soak release licences vuln bench bench-peers benchstat fmt lint setup

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: $(KEY) ## serve on 127.0.0.1:8080, with the log in data/log
	go run ./server/cmd/tocsin serve --data data/log --jwt-hs256-file $(KEY)

$(KEY):
	@mkdir -p $(@D)
	go run ./server/cmd/tocsin secret $@

test: export PATH := $(PATH):/usr/sbin
test: setup lint ## everything that must hold; CI runs this and nothing else
	go vet ./...
	go build ./...
	go vet -tags conformance ./server/... ./transports/...
	go test -tags conformance -run Conformance $(if $(CI),-count=1) ./server/httpd ./transports/carrier/ws
	$(MAKE) web
	git diff --exit-code --stat -- web/dist web/bundled.json # what is committed is what is built
	@test -z "$$(git ls-files --others --exclude-standard -- web/dist)" || { git status --short -- web/dist; exit 1; }
	cd web && npm test
	go test -run '^TestAllocs' $(if $(CI),-count=1) ./server/alarm ./server/httpd ./server/inbox ./transports/alarmpush ./transports/native ./transports/sse ./transports/stomp
	$(MAKE) fuzz
	go test -race -p 2 -timeout 24m $(if $(CI),-count=1) ./...

FUZZTIME ?= 2s
fuzz: ## every fuzz target for FUZZTIME
	go run ./fuzz -time $(FUZZTIME)

SOAK ?= 30m
soak: ## everything at once against one server for SOAK, which must leave nothing behind
	TOCSIN_SOAK=$(SOAK) go test -count=1 -timeout 24h -v -run TestSoak ./server/e2e

release: ## archives of all platforms with their checksums, into dist
	go run ./release

licences: ## write down whose work is in the program, and on what terms
	go run ./release -licences

vuln: web/node_modules/.package-lock.json ## ask whether what is used is known to be vulnerable
	@.ci/vuln

conformance: $(KEY) ## serve what the public suites of WebSocket and SockJS want, on 127.0.0.1:8081
	go run -tags conformance ./server/cmd/tocsin serve --http 127.0.0.1:8081 --ops "" --data data/conformance --jwt-hs256-file $(KEY)

web: web/node_modules/.package-lock.json ## check and build what browsers get, into web/dist
	cd web && npx tsc --noEmit
	cd web && node build.mjs

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci
	@touch $@

screenshots: web ## take the pictures of the documentation anew, with a browser
	cd web && for one in screenshots/*.mjs; do node --import tsx $$one ../docs/images || exit; done

bench: ## the whole server against its targets, in ten minutes; writes docs/performance.md
	go run ./bench
	go run ./bench -render

bench-peers: ## the same load against Nchan and Socket.IO, from apt-get and npm
	go run ./bench -peers
	go run ./bench -render

BASE ?= HEAD~1
benchstat: ## the Go benchmarks of the core and the log, against BASE=revision
	bench/benchstat.sh $(BASE)

fmt: ## format the Go code
	gofmt -w .

lint: ## what .golangci.yml asks for, gofmt among it
	$(LINT) run

setup:
	@.ci/setup

"""The GraphQL documents: what GitHub's REST API cannot tell or do. A test holds each against GitHub's schema."""

THREADS = """
query Threads($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 50, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id
          isResolved
          isOutdated
          path
          line
          originalLine
          diffSide
          comments(first: 100) {
            nodes {
              databaseId
              body
              createdAt
              author { __typename login }
              pullRequestReview { databaseId }
            }
          }
        }
      }
    }
  }
}
"""

RESOLVE = """
mutation Resolve($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) {
    thread { id isResolved }
  }
}
"""

MARK_READY = """
mutation MarkReady($pullRequest: ID!) {
  markPullRequestReadyForReview(input: {pullRequestId: $pullRequest}) {
    pullRequest { id isDraft }
  }
}
"""

DOCUMENTS = {"threads": THREADS, "resolve": RESOLVE, "mark_ready": MARK_READY}

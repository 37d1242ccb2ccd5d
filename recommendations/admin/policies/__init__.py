from recommendations.admin.policies.pages import PolicyVersionAdmin

__all__ = ["PolicyVersionAdmin"]
